#include "qat/int8/plan.h"

#include <algorithm>

#include "qat/int8/float_node.h"

namespace stair::qat {
namespace {

using List = std::vector<int64_t>;

Shape conv_shape(const Int8Node& node, const Shape& x) {
  const Shape w = node.weight_shape();
  const auto wrong = [&](const std::string& expected) {
    throw ShapeError(str("int8 graph: node '", node.name, "' got ", x, ", expected ", expected));
  };
  if (node.attributes.get<bool>("linear")) {
    if (x.rank() != 2 || x[1] != w[1]) wrong(str("[N,", w[1], "]"));
    return {x[0], w[0]};
  }
  const int64_t channels = w[3] * node.attributes.get<int64_t>("groups");
  if (x.rank() != 4 || x[3] != channels) wrong(str("[N,H,W,", channels, "]"));
  const List& stride = node.attributes.get<List>("stride");
  const List& pad = node.attributes.get<List>("padding");
  const List& dilation = node.attributes.get<List>("dilation");
  const int64_t h = (x[1] + pad[0] + pad[2] - dilation[0] * (w[1] - 1) - 1) / stride[0] + 1;
  const int64_t width = (x[2] + pad[1] + pad[3] - dilation[1] * (w[2] - 1) - 1) / stride[1] + 1;
  if (h < 1 || width < 1) wrong("a picture at least as large as the window");
  return {x[0], h, width, w[0]};
}

Shape pool_shape(const Int8Node& node, const Shape& x) {
  if (x.rank() != 4)
    throw ShapeError(str("int8 graph: node '", node.name, "' got ", x, ", expected [N,H,W,C]"));
  const List& kernel = node.attributes.get<List>("kernel");
  if (kernel.empty()) return {x[0], 1, 1, x[3]};
  const List& stride = node.attributes.get<List>("stride");
  const List& pad = node.attributes.get<List>("padding");
  const int64_t h = (x[1] + pad[0] + pad[2] - kernel[0]) / stride[0] + 1,
                w = (x[2] + pad[1] + pad[3] - kernel[1]) / stride[1] + 1;
  if (h < 1 || w < 1)
    throw ShapeError(
        str("int8 graph: node '", node.name, "' got ", x, ", smaller than the window"));
  return {x[0], h, w, x[3]};
}

Shape concat_shape(const Int8Node& node, const std::vector<Shape>& shapes) {
  const int64_t axis = node.attributes.get<int64_t>("axis");
  std::vector<int64_t> dims = shapes[static_cast<size_t>(node.inputs[0])].dims();
  if (axis >= static_cast<int64_t>(dims.size()))
    throw ShapeError(
        str("int8 graph: node '", node.name, "' joins ", Shape(dims), " at axis ", axis));
  int64_t& joined = dims[static_cast<size_t>(axis)];
  joined = 0;
  for (int input : node.inputs) {
    const Shape& x = shapes[static_cast<size_t>(input)];
    std::vector<int64_t> own = x.dims();
    if (own.size() == dims.size()) own[static_cast<size_t>(axis)] = joined;
    if (own != dims)
      throw ShapeError(str("int8 graph: node '", node.name, "' joins ",
                           shapes[static_cast<size_t>(node.inputs[0])], " and ", x, " at axis ",
                           axis));
    joined += x[static_cast<int>(axis)];
  }
  return Shape(std::move(dims));
}

// The second factor is of the first's shape, or one value for each image and channel.
void check_factor(const Int8Node& node, const std::vector<Shape>& shapes) {
  const Shape &a = shapes[static_cast<size_t>(node.inputs[0])],
              &b = shapes[static_cast<size_t>(node.inputs[1])];
  if (a == b || (a.rank() == 4 && b == Shape{a[0], 1, 1, a[3]})) return;
  throw ShapeError(str("int8 graph: node '", node.name, "' multiplies ", a, " and ", b));
}

// What the operation makes of zeros.
Shape float_shape(const Int8Graph& graph, const Int8Node& node, const std::vector<Shape>& shapes) {
  std::vector<Tensor> inputs;
  for (int input : node.inputs) {
    const Int8Format& f = graph.nodes[static_cast<size_t>(input)].format;
    Tensor x = Tensor::zeros(shapes[static_cast<size_t>(input)], code_type(f));
    inputs.push_back(f.real ? x : x.with_qparams(qparams_of(f)));
  }
  return run_float(node, inputs).shape();
}

Shape shape_of(const Int8Graph& graph, const Int8Node& node, const std::vector<Shape>& shapes,
               const Shape& input) {
  if (node.op == "input") return input;
  const Shape& x = shapes[static_cast<size_t>(node.inputs[0])];
  if (node.op == "conv" || node.op == kDynamicLinear) return conv_shape(node, x);
  if (node.op == "float") return float_shape(graph, node, shapes);
  if (node.op == "max_pool" || node.op == "avg_pool") return pool_shape(node, x);
  if (node.op == "flatten") {
    int64_t features = 1;
    for (int i = 1; i < x.rank(); ++i) features *= x[i];
    return {x[0], features};
  }
  if (node.op == "pad_channels")
    return {x[0], x[1], x[2],
            x[3] + node.attributes.get<int64_t>("before") + node.attributes.get<int64_t>("after")};
  if (node.op == "concat") return concat_shape(node, shapes);
  if (node.op == "mul") check_factor(node, shapes);
  if (node.op == "add" && shapes[static_cast<size_t>(node.inputs[1])] != x)
    throw ShapeError(str("int8 graph: node '", node.name, "' adds ", x, " and ",
                         shapes[static_cast<size_t>(node.inputs[1])], " (",
                         graph.nodes[static_cast<size_t>(node.inputs[1])].name, ")"));
  return x;
}

// For every node, the nodes that read it.
std::vector<List> users(const Int8Graph& graph) {
  std::vector<List> result(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (int input : graph.nodes[i].inputs)
      result[static_cast<size_t>(input)].push_back(static_cast<int64_t>(i));
  return result;
}

// Whether one of them takes the input's real numbers: quantize nodes look at the input itself.
bool reads_reals(const Int8Graph& graph, const List& readers) {
  return std::any_of(readers.begin(), readers.end(), [&](int64_t reader) {
    return graph.nodes[static_cast<size_t>(reader)].op != "quantize";
  });
}

// An add is fused into the later of its two inputs when that is a convolution that nothing else
// reads.
std::vector<Int8Step> make_steps(const Int8Graph& graph, bool fuse_residual) {
  const std::vector<List> readers = users(graph);
  std::vector<int> fused_into(graph.nodes.size(), -1);  // by convolution: its add
  if (fuse_residual)
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Int8Node& node = graph.nodes[i];
      if (node.op != "add" || node.inputs[0] == node.inputs[1]) continue;
      const int last = std::max(node.inputs[0], node.inputs[1]);
      if (graph.nodes[static_cast<size_t>(last)].op == "conv" &&
          readers[static_cast<size_t>(last)].size() == 1)
        fused_into[static_cast<size_t>(last)] = static_cast<int>(i);
    }
  std::vector<Int8Step> steps;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Int8Node& node = graph.nodes[i];
    const int index = static_cast<int>(i);
    if (node.op == "flatten" || (node.op == "input" && !reads_reals(graph, readers[i]))) continue;
    if (node.op == "add" && (fused_into[static_cast<size_t>(node.inputs[0])] == index ||
                             fused_into[static_cast<size_t>(node.inputs[1])] == index))
      continue;
    Int8Step step{index, index};
    if (const int add = fused_into[i]; add >= 0) {
      const Int8Node& sum = graph.nodes[static_cast<size_t>(add)];
      step.output = add;
      step.residual = sum.inputs[0] == index ? sum.inputs[1] : sum.inputs[0];
    }
    steps.push_back(step);
  }
  return steps;
}

struct Lifetime {
  int node;
  size_t bytes;
  int first, last;  // steps
};

// First fit, largest buffers first: each goes to the lowest place that no buffer alive at the same
// time takes.
size_t place(std::vector<Lifetime>& lives, std::vector<size_t>& offsets) {
  std::stable_sort(lives.begin(), lives.end(),
                   [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; });
  size_t total = 0;
  std::vector<const Lifetime*> placed;
  for (const Lifetime& life : lives) {
    std::vector<std::pair<size_t, size_t>> taken;
    for (const Lifetime* other : placed)
      if (other->first <= life.last && life.first <= other->last) {
        const size_t at = offsets[static_cast<size_t>(other->node)];
        taken.emplace_back(at, at + other->bytes);
      }
    std::sort(taken.begin(), taken.end());
    size_t at = 0;
    for (const auto& [begin, end] : taken) {
      if (at + life.bytes <= begin) break;
      at = std::max(at, end);
    }
    offsets[static_cast<size_t>(life.node)] = at;
    total = std::max(total, at + life.bytes);
    placed.push_back(&life);
  }
  return total;
}

}  // namespace

Shape with_batch(const Shape& shape, int64_t n) {
  std::vector<int64_t> dims = shape.dims();
  dims[0] = n;
  return Shape(std::move(dims));
}

size_t value_bytes(const Int8Graph& graph, const Int8Plan& plan, int node) {
  const auto i = static_cast<size_t>(node);
  return static_cast<size_t>(plan.shapes[i].numel()) * (graph.nodes[i].format.real ? 4 : 1);
}

Int8Plan make_plan(const Int8Graph& graph, const Shape& input, const PlanOptions& options) {
  Int8Plan plan;
  for (const Int8Node& node : graph.nodes)
    plan.shapes.push_back(shape_of(graph, node, plan.shapes, input));
  const std::vector<Int8Step> steps = make_steps(graph, options.fuse_residual);

  // A flatten is its input under another shape.
  const auto storage = [&](int node) {
    while (graph.nodes[static_cast<size_t>(node)].op == "flatten")
      node = graph.nodes[static_cast<size_t>(node)].inputs[0];
    return node;
  };
  const int end = static_cast<int>(steps.size());
  std::vector<Lifetime> by_node(graph.nodes.size(), Lifetime{-1, 0, 0, 0});
  const auto read = [&](int node, int step) {
    Lifetime& life = by_node[static_cast<size_t>(storage(node))];
    life.last = std::max(life.last, step);
  };
  for (int s = 0; s < end; ++s) {
    const Int8Step& step = steps[static_cast<size_t>(s)];
    const size_t bytes = (value_bytes(graph, plan, step.output) + kReadSlack + 63) / 64 * 64;
    by_node[static_cast<size_t>(step.output)] = {step.output, bytes, s, s};
    for (int node : graph.nodes[static_cast<size_t>(step.node)].inputs) read(node, s);
    if (step.residual >= 0) read(step.residual, s);
  }
  read(static_cast<int>(graph.nodes.size()) - 1, end);

  const int from = static_cast<int>(std::min(options.first, steps.size())),
            to = static_cast<int>(std::min(options.last, steps.size()));
  plan.steps.assign(steps.begin() + from, steps.begin() + to);
  std::vector<Lifetime> lives;
  for (Lifetime life : by_node) {
    if (life.node < 0 || life.last < from || life.first >= to) continue;
    if (life.first < from) plan.inputs.push_back(life.node);
    if (life.last >= to) plan.outputs.push_back(life.node);
    if (options.keep_all) life.first = 0, life.last = end;
    life.first = std::max(life.first, from);
    life.last = std::min(life.last, to);
    lives.push_back(life);
    plan.bytes_without_reuse += life.bytes;
  }
  plan.offsets.assign(graph.nodes.size(), 0);
  plan.bytes = place(lives, plan.offsets);
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    plan.offsets[i] = plan.offsets[static_cast<size_t>(storage(static_cast<int>(i)))];
  return plan;
}

}  // namespace stair::qat
