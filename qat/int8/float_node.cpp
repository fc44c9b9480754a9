#include "qat/int8/float_node.h"

#include <algorithm>
#include <array>

#include "autograd/dequantize.h"
#include "autograd/op.h"
#include "core/text.h"
#include "qat/observer.h"

namespace stair::qat {
namespace {

using List = std::vector<int64_t>;

struct FloatOp {
  const char* name;
  size_t least, most;  // inputs
};
constexpr size_t kAny = 1 << 16;
constexpr std::array<FloatOp, 31> kOps = {
    {{"add", 2, 2},          {"avg_pool2d", 1, 1},  {"batch_norm", 5, 5},
     {"bfloat16", 1, 1},     {"clamp", 1, 1},       {"concat", 1, kAny},
     {"conv2d", 2, 3},       {"dequantize", 1, 1},  {"div", 2, 2},
     {"flatten", 1, 1},      {"gelu", 1, 1},        {"global_avg_pool", 1, 1},
     {"group_linear", 2, 3}, {"hardsigmoid", 1, 1}, {"hardswish", 1, 1},
     {"leaky_relu", 1, 1},   {"linear", 2, 3},      {"log_softmax", 1, 1},
     {"max_pool2d", 1, 1},   {"mean", 1, 1},        {"mul", 2, 2},
     {"pad_channels", 1, 1}, {"relu", 1, 1},        {"relu6", 1, 1},
     {"reshape", 1, 1},      {"sigmoid", 1, 1},     {"silu", 1, 1},
     {"softmax", 1, 1},      {"sub", 2, 2},         {"sum", 1, 1},
     {"tanh", 1, 1}}};

const FloatOp* find(const std::string& name) {
  for (const FloatOp& op : kOps)
    if (name == op.name) return &op;
  return nullptr;
}

// The weights of codes, with their scales.
Tensor quantized_weight(const Int8Node& node) {
  const float* scale = node.weight_scale.data<float>();
  const auto count = static_cast<size_t>(node.weight_scale.numel());
  return node.weight_codes().with_qparams(
      {{scale, scale + count}, std::vector<int32_t>(count), count == 1 ? -1 : 0, -128, 127});
}

}  // namespace

bool is_float_operation(const std::string& name) {
  return find(name) != nullptr;
}

void check_float(const Int8Node& node) {
  const auto fail = [&](const std::string& what) {
    throw FormatError(str("int8 graph: node '", node.name, "': ", what));
  };
  const std::string& name = node.attributes.get<std::string>("operation");
  const FloatOp* op = find(name);
  if (op == nullptr) fail(str("no float operation is called '", printable(name), "'"));
  const List& sources = node.attributes.get<List>("sources");
  if (sources.size() < op->least || sources.size() > op->most)
    fail(str(name, " has ", sources.size(), " inputs, expected ", op->least, " to ", op->most));
  for (int64_t source : sources) {
    const bool fits =
        source >= 0                      ? source < static_cast<int64_t>(node.inputs.size())
        : source == FloatSource::kWeight ? node.weight.defined()
        : source <= FloatSource::kFirstTensor
            ? FloatSource::kFirstTensor - source < static_cast<int64_t>(node.tensors.size())
            : source == FloatSource::kAbsent;
    if (!fits) fail(str("an input comes from ", source, ", which there is not"));
  }
  if (sources[0] == FloatSource::kAbsent) fail(str(name, " has no first input"));
  for (const Tensor& tensor : node.tensors)
    if (!tensor.defined() || tensor.dtype() != DType::f32) fail(str("a tensor is ", tensor));
}

Tensor run_float(const Int8Node& node, std::span<const Tensor> inputs) {
  const autograd::NoGrad no_grad;
  std::vector<autograd::Variable> operands;
  for (int64_t source : node.attributes.get<List>("sources")) {
    if (source >= 0)
      operands.emplace_back(inputs[static_cast<size_t>(source)]);
    else if (source == FloatSource::kAbsent)
      operands.emplace_back();
    else if (source == FloatSource::kWeight)
      operands.emplace_back(quantized_weight(node));
    else
      operands.emplace_back(node.tensors[static_cast<size_t>(FloatSource::kFirstTensor - source)]);
  }
  const std::string& name = node.attributes.get<std::string>("operation");
  return autograd::dequantize(autograd::find_op(name).apply(operands, node.attributes).value());
}

QParams dynamic_qparams(const Tensor& x) {
  const Range range = range_of(x, -1);
  return qparams_of(range.min, range.max, activation_spec());
}

}  // namespace stair::qat
