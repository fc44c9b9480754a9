#include "qat/int8/session.h"

#include <cstring>
#include <map>

#include "autograd/conv_integer.h"
#include "core/parallel.h"
#include "kernels/pool/pool.h"
#include "kernels/qelementwise/qelementwise.h"
#include "kernels/quantize/quantize.h"
#include "qat/int8/plan.h"

namespace stair::qat {
namespace {

using List = std::vector<int64_t>;

kernels::Requant requant_to(const Int8Format& f) {
  return {1.0F / f.scale, f.zero_point, f.lo, f.hi, f.is_signed};
}

kernels::ConvShape conv_shape(const Int8Node& node, const Shape& x) {
  const Tensor& w = node.weight;
  if (node.attributes.get<bool>("linear")) return {.n = x[0], .c = x[1], .o = w.size(0)};
  kernels::ConvShape s{
      .n = x[0], .h = x[1], .w = x[2], .c = x[3], .o = w.size(0), .kh = w.size(1), .kw = w.size(2)};
  const List& stride = node.attributes.get<List>("stride");
  const List& pad = node.attributes.get<List>("padding");
  const List& dilation = node.attributes.get<List>("dilation");
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.pad_top = pad[0], s.pad_left = pad[1], s.pad_bottom = pad[2], s.pad_right = pad[3];
  s.dilation_h = dilation[0], s.dilation_w = dilation[1];
  s.groups = node.attributes.get<int64_t>("groups");
  return s;
}

kernels::PoolShape pool_shape(const Int8Node& node, const Shape& x) {
  kernels::PoolShape s{.n = x[0], .h = x[1], .w = x[2], .c = x[3]};
  const List& kernel = node.attributes.get<List>("kernel");
  if (kernel.empty()) {
    s.kh = s.h, s.kw = s.w;
    return s;
  }
  const List& stride = node.attributes.get<List>("stride");
  const List& pad = node.attributes.get<List>("padding");
  s.kh = kernel[0], s.kw = kernel[1];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.pad_top = pad[0], s.pad_left = pad[1], s.pad_bottom = pad[2], s.pad_right = pad[3];
  if (node.attributes.has("count_include_pad"))
    s.count_include_pad = node.attributes.get<bool>("count_include_pad");
  return s;
}

// What a convolution needs besides the shape: prepacked weights and the factors of its epilogue.
struct ConvConstants {
  std::vector<float> multiplier;
  kernels::ConvInt8::Args args;
  std::map<std::vector<int64_t>, kernels::PackedConvInt8>
      packed;  // by shape: another shape may want another kernel
};

}  // namespace

struct Int8Session::Impl {
  Int8Graph graph;
  SessionOptions options;
  std::vector<ConvConstants> convs;  // by node
  Shape input_shape;
  Int8Plan plan;
  std::shared_ptr<std::byte> block;
  const std::byte* input = nullptr;

  const Int8Node& node(int i) const { return graph.nodes[static_cast<size_t>(i)]; }
  std::byte* value(int i) const {
    return i == 0 ? const_cast<std::byte*>(input)
                  : block.get() + plan.offsets[static_cast<size_t>(i)];
  }
  const Shape& shape(int i) const { return plan.shapes[static_cast<size_t>(i)]; }
  kernels::CodeInput codes(int i) const {
    const Int8Format& f = node(i).format;
    return {value(i), f.is_signed, f.scale, f.zero_point};
  }

  void prepare_conv(size_t i);
  void replan(const Shape& x, bool keep_all);
  void run_conv(const Int8Step& step);
  void run_step(const Int8Step& step);
  void run(const Tensor& x, bool keep_all);
};

void Int8Session::Impl::prepare_conv(size_t i) {
  const Int8Node& n = graph.nodes[i];
  const Int8Format& x = node(n.inputs[0]).format;
  ConvConstants& c = convs[i];
  const int64_t o = n.weight.size(0);
  const float* ws = n.weight_scale.data<float>();
  QParams xp{{x.scale}, {x.zero_point}, -1, 0, 255};
  QParams wp{
      {ws, ws + n.weight_scale.numel()}, {}, n.weight_scale.numel() == o ? 0 : -1, -128, 127};
  c.multiplier = autograd::conv_multiplier(xp, wp, o);
  c.args.w = n.weight.data<int8_t>();
  c.args.x_signed = x.is_signed;
  c.args.x_zero_point = x.zero_point;
  c.args.output = n.format.real ? kernels::ConvOutput::real : kernels::ConvOutput::code;
  c.args.multiplier = c.multiplier.data();
  c.args.bias = n.bias.defined() ? n.bias.data<float>() : nullptr;
  if (!n.format.real) c.args.requant = requant_to(n.format);
}

void Int8Session::Impl::replan(const Shape& x, bool keep_all) {
  plan = make_plan(graph, x, options.fuse_residual && !keep_all, keep_all);
  block = allocate(plan.bytes);
  input_shape = keep_all ? Shape() : x;
}

void Int8Session::Impl::run_conv(const Int8Step& step) {
  const Int8Node& n = node(step.node);
  ConvConstants& c = convs[static_cast<size_t>(step.node)];
  kernels::ConvInt8::Args args = c.args;
  args.s = conv_shape(n, shape(n.inputs[0]));
  args.x = value(n.inputs[0]);
  args.y = value(step.output);
  if (step.residual >= 0) {
    const Int8Format& other = node(step.residual).format;
    args.residual = {value(step.residual), other.is_signed, other.scale,
                     other.zero_point,     n.format.scale,  requant_to(node(step.output).format)};
  }
  const std::vector<int64_t> key = {args.s.n, args.s.h, args.s.w};
  auto found = c.packed.find(key);
  if (found == c.packed.end()) found = c.packed.emplace(key, kernels::PackedConvInt8(args)).first;
  found->second.run(args);
}

void Int8Session::Impl::run_step(const Int8Step& step) {
  const Int8Node& n = node(step.node);
  const Int8Format& f = n.format;
  const int in = n.inputs[0];
  if (n.op == "conv") {
    run_conv(step);
  } else if (n.op == "quantize") {
    kernels::run<kernels::Quantize<float>>({{1, 1, shape(in).numel()},
                                            reinterpret_cast<const float*>(value(in)),
                                            &f.scale,
                                            &f.zero_point,
                                            f.lo,
                                            f.hi,
                                            false,
                                            f.is_signed ? DType::s8 : DType::u8,
                                            value(step.node),
                                            nullptr});
  } else if (n.op == "add") {
    kernels::run<kernels::AddInt8>(
        {shape(in).numel(), codes(in), codes(n.inputs[1]), requant_to(f), value(step.node)});
  } else if (n.op == "avg_pool") {
    kernels::run<kernels::AvgPoolInt8>(
        {pool_shape(n, shape(in)), codes(in), requant_to(f), value(step.node)});
  } else if (n.op == "max_pool" && f.is_signed) {
    kernels::run<kernels::MaxPool<int8_t>>({pool_shape(n, shape(in)),
                                            reinterpret_cast<const int8_t*>(value(in)),
                                            reinterpret_cast<int8_t*>(value(step.node)), nullptr});
  } else if (n.op == "max_pool") {
    kernels::run<kernels::MaxPool<uint8_t>>(
        {pool_shape(n, shape(in)), reinterpret_cast<const uint8_t*>(value(in)),
         reinterpret_cast<uint8_t*>(value(step.node)), nullptr});
  } else {  // pad_channels
    const int64_t channels = shape(in)[3], wide = shape(step.node)[3],
                  before = n.attributes.get<int64_t>("before");
    const std::byte* from = value(in);
    std::byte* to = value(step.node);
    parallel_for(shape(in).numel() / channels, 4096, [&](int64_t begin, int64_t end) {
      std::memset(to + begin * wide, f.zero_point, static_cast<size_t>((end - begin) * wide));
      for (int64_t i = begin; i < end; ++i)
        std::memcpy(to + i * wide + before, from + i * channels, static_cast<size_t>(channels));
    });
  }
}

void Int8Session::Impl::run(const Tensor& x, bool keep_all) {
  if (x.dtype() != DType::f32 || x.shape().rank() != 4)
    throw ShapeError(str("int8 graph: input is ", x, ", expected [N,H,W,C] f32"));
  if (keep_all || x.shape() != input_shape) replan(x.shape(), keep_all);
  input = x.raw();
  parallel_awake([&] {
    for (const Int8Step& step : plan.steps) run_step(step);
  });
}

Int8Session::Int8Session(Int8Graph graph, const SessionOptions& options)
    : impl_(std::make_unique<Impl>()) {
  graph.validate();
  impl_->graph = std::move(graph);
  impl_->options = options;
  impl_->convs.resize(impl_->graph.nodes.size());
  for (size_t i = 0; i < impl_->graph.nodes.size(); ++i)
    if (impl_->graph.nodes[i].op == "conv") impl_->prepare_conv(i);
}

Int8Session::~Int8Session() = default;
Int8Session::Int8Session(Int8Session&&) noexcept = default;

Tensor Int8Session::run(const Tensor& x) {
  const int last = static_cast<int>(impl_->graph.nodes.size()) - 1;
  if (x.defined() && x.shape().rank() == 4 && x.size(0) == 0) {
    return Tensor::empty(make_plan(impl_->graph, x.shape(), false, false).shapes.back(),
                         DType::f32);
  }
  impl_->run(x, false);
  Tensor y = Tensor::empty(impl_->shape(last), DType::f32);
  if (!impl_->node(last).format.real)
    throw ConfigError("int8 graph: the last node yields codes, expected real numbers");
  std::memcpy(y.raw(), impl_->value(last), y.bytes());
  return y;
}

Tensor Int8Session::node_value(const Tensor& x, const std::string& name) {
  for (size_t i = 1; i < impl_->graph.nodes.size(); ++i) {
    const Int8Node& n = impl_->graph.nodes[i];
    if (n.name != name) continue;
    impl_->run(x, true);
    const Int8Format& f = n.format;
    Tensor y = Tensor::empty(impl_->plan.shapes[i], f.real        ? DType::f32
                                                    : f.is_signed ? DType::s8
                                                                  : DType::u8);
    std::memcpy(y.raw(), impl_->value(static_cast<int>(i)), y.bytes());
    return f.real ? y : y.with_qparams({{f.scale}, {f.zero_point}, -1, f.lo, f.hi});
  }
  throw ConfigError(str("int8 graph: no node is called '", name, "'"));
}

const Int8Graph& Int8Session::graph() const {
  return impl_->graph;
}
size_t Int8Session::planned_bytes() const {
  return impl_->plan.bytes;
}
size_t Int8Session::unplanned_bytes() const {
  return impl_->plan.bytes_without_reuse;
}

}  // namespace stair::qat
