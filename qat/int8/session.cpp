#include "qat/int8/session.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "qat/int8/slice.h"

namespace stair::qat {
namespace {

// What a shape of the input needs. A large batch passes in slices.
struct Job {
  Shape input, output;
  int64_t pictures;                              // of a slice
  std::unique_ptr<const Int8Slice> slice, rest;  // rest: what is left behind whole slices
};

}  // namespace

struct Int8Session::Impl {
  Int8Graph graph;
  SessionOptions options;
  std::vector<Int8Conv> convs;
  std::vector<Job> jobs;  // of the last few shapes, the last used one last
  std::vector<uint8_t> pixel_codes;
  Tensor pixel_reals;
  int64_t pixel_channels = 0;

  int last() const { return static_cast<int>(graph.nodes.size()) - 1; }
  const Job& job(const Shape& input);
  Job make_job(const Shape& input) const;
  Int8Input input(const Tensor& x);
  void run(const Tensor& x, Tensor& y);
};

const Job& Int8Session::Impl::job(const Shape& input) {
  constexpr size_t kMost = 4;
  for (auto job = jobs.begin(); job != jobs.end(); ++job)
    if (job->input == input) {
      std::rotate(job, job + 1, jobs.end());
      return jobs.back();
    }
  if (jobs.size() == kMost) jobs.erase(jobs.begin());
  jobs.push_back(make_job(input));
  return jobs.back();
}

// Slices are of about one size. What depends on the whole batch sees all of it.
Job Int8Session::Impl::make_job(const Shape& input) const {
  const int64_t n = input[0];
  const PlanOptions plan{.fuse_residual = options.fuse_residual};
  const Int8Plan one = make_plan(graph, with_batch(input, 1), plan);
  Job job{input, with_batch(one.shapes.back(), n), 0, nullptr, nullptr};
  if (n == 0) return job;
  const size_t by_picture = steps_by_picture(graph, one);
  PlanOptions by_layer = plan;
  by_layer.first = by_picture;
  const size_t bytes = make_plan(graph, with_batch(input, 1), by_layer).bytes;
  const bool whole = std::any_of(graph.nodes.begin(), graph.nodes.end(), sees_whole_batch);
  const auto most =
      whole ? n : static_cast<int64_t>(std::max<size_t>(1, options.slice_bytes / bytes));
  const int64_t slices = (n + most - 1) / most;
  job.pictures = (n + slices - 1) / slices;
  const auto slice = [&](int64_t pictures) {
    return std::make_unique<const Int8Slice>(graph, convs, with_batch(input, pictures),
                                             options.fuse_residual, by_picture);
  };
  job.slice = slice(job.pictures);
  if (n % job.pictures != 0) job.rest = slice(n % job.pictures);
  return job;
}

Int8Input Int8Session::Impl::input(const Tensor& x) {
  if (!x.defined() || x.shape().rank() != 4 || (x.dtype() != DType::f32 && x.dtype() != DType::u8))
    throw ShapeError(str("int8 graph: input is ", x, ", expected [N,H,W,C] f32 or u8"));
  if (x.dtype() == DType::f32) return {x.raw()};
  if (x.size(3) != pixel_channels) {
    pixel_reals = reals_of_pixels(graph, x.size(3));
    pixel_codes = codes_of_pixels(graph, pixel_reals);
    pixel_channels = x.size(3);
  }
  return {x.raw(), pixel_codes.data(), pixel_reals.data<float>()};
}

void Int8Session::Impl::run(const Tensor& x, Tensor& y) {
  if (!graph.nodes.back().format.real)
    throw ConfigError("int8 graph: the last node yields codes, expected real numbers");
  const Int8Input all = input(x);
  const Job& todo = job(x.shape());
  if (!y.defined() || y.dtype() != DType::f32 || y.shape() != todo.output)
    y = Tensor::empty(todo.output, DType::f32);
  const int64_t n = x.size(0);
  if (n == 0) return;
  const size_t in = static_cast<size_t>(x.numel() / n), out = y.bytes() / static_cast<size_t>(n);
  parallel_awake([&] {
    for (int64_t first = 0; first < n; first += todo.pictures) {
      const int64_t count = std::min(todo.pictures, n - first);
      const Int8Slice& slice = count == todo.pictures ? *todo.slice : *todo.rest;
      slice.run(all.behind(static_cast<size_t>(first) * in));
      std::memcpy(y.raw() + static_cast<size_t>(first) * out, slice.result(),
                  static_cast<size_t>(count) * out);
    }
  });
}

Int8Session::Int8Session(Int8Graph graph, const SessionOptions& options)
    : impl_(std::make_unique<Impl>()) {
  graph.validate();
  impl_->graph = std::move(graph);
  impl_->options = options;
  impl_->convs = prepare_convs(impl_->graph);
}

Int8Session::~Int8Session() = default;
Int8Session::Int8Session(Int8Session&&) noexcept = default;

Tensor Int8Session::run(const Tensor& x) {
  Tensor y;
  impl_->run(x, y);
  return y;
}

void Int8Session::run(const Tensor& x, Tensor& y) {
  impl_->run(x, y);
}

void Int8Session::node_values(const Tensor& x,
                              const std::function<void(const Int8Node&, const Tensor&)>& visit,
                              const Substitute& substitute) {
  const Int8Input input = impl_->input(x);
  const Int8Program all(impl_->graph, impl_->convs, x.shape(),
                        {.fuse_residual = false, .keep_all = true});
  const std::vector<Int8Step>& steps = all.plan().steps;
  size_t step = 0;
  for (int i = 1; i <= impl_->last(); ++i) {
    // Views have no step.
    while (step < steps.size() && steps[step].node <= i) all.run_step(step++, input);
    const Int8Node& n = impl_->graph.nodes[static_cast<size_t>(i)];
    Tensor y = Tensor::empty(all.plan().shapes[static_cast<size_t>(i)], code_type(n.format));
    std::memcpy(y.raw(), all.value(i), y.bytes());
    if (!n.format.real) y = y.with_qparams(qparams_of(n.format));
    visit(n, y);
    const Tensor other = substitute ? substitute(n, y) : Tensor();
    if (!other.defined()) continue;
    if (other.shape() != y.shape() || other.dtype() != y.dtype())
      throw ShapeError(str("int8 graph: node '", n.name, "' is ", y, ", not ", other));
    std::memcpy(all.value(i), other.raw(), y.bytes());
  }
}

Tensor Int8Session::node_value(const Tensor& x, const std::string& name) {
  Tensor found;
  node_values(x, [&](const Int8Node& node, const Tensor& value) {
    if (node.name == name) found = value;
  });
  if (!found.defined()) throw ConfigError(str("int8 graph: no node is called '", name, "'"));
  return found;
}

const Int8Graph& Int8Session::graph() const {
  return impl_->graph;
}

}  // namespace stair::qat
