#include "tests/apps/onnx/read_qdq.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/support/golden.h"

namespace stair::apps {
namespace {

using List = std::vector<int64_t>;
using qat::Int8Node;

DType dtype_of_type(int type) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
      return DType::f32;
    case onnx::TensorProto::UINT8:
      return DType::u8;
    case onnx::TensorProto::INT8:
      return DType::s8;
    case onnx::TensorProto::INT32:
      return DType::s32;
    case onnx::TensorProto::INT64:
      return DType::s64;
    default:
      throw FormatError(str("type ", type));
  }
}

List ints(const onnx::NodeProto& node, const std::string& key) {
  for (const onnx::AttributeProto& a : node.attribute())
    if (a.name() == key)
      return a.ints_size() > 0 ? List(a.ints().begin(), a.ints().end()) : List{a.i()};
  throw FormatError(str(node.name(), ": no attribute ", key));
}

class Reader {
 public:
  explicit Reader(const onnx::ModelProto& model) : model_(model) {
    for (const onnx::NodeProto& node : model.graph().node()) producer_[node.output(0)] = &node;
    for (const onnx::TensorProto& t : model.graph().initializer()) constants_.insert(t.name());
    Int8Node input;
    input.op = "input";
    input.name = model.graph().input(0).name();
    input.format.real = true;
    add(input, input.name);
  }

  qat::Int8Graph run() {
    for (const onnx::NodeProto& node : model_.graph().node()) visit(node);
    return std::move(graph_);
  }

 private:
  void add(const Int8Node& node, const std::string& value) {
    node_of_[value] = static_cast<int>(graph_.nodes.size());
    graph_.nodes.push_back(node);
    graph_.nodes.back().name = value;
  }

  // The constant behind Identity and Cast; casts set `dtype`.
  std::string source(std::string name, DType* dtype = nullptr) const {
    for (auto it = producer_.find(name); it != producer_.end(); it = producer_.find(name)) {
      const std::string& op = it->second->op_type();
      if (op != "Identity" && op != "Cast") break;
      if (op == "Cast" && dtype != nullptr)
        *dtype = dtype_of_type(static_cast<int>(ints(*it->second, "to")[0]));
      name = it->second->input(0);
    }
    return name;
  }
  Tensor constant(const std::string& name) const { return constant_of(model_, source(name)); }

  static double number(const Tensor& t, int64_t i) {
    switch (t.dtype()) {
      case DType::f32:
        return t.data<float>()[i];
      case DType::u8:
        return t.data<uint8_t>()[i];
      case DType::s8:
        return t.data<int8_t>()[i];
      default:
        return t.data<int32_t>()[i];
    }
  }

  void visit(const onnx::NodeProto& node) {
    const std::string& op = node.op_type();
    const auto value = node_of_.find(node.input(0));
    if (value == node_of_.end()) {  // of constants: read where they are used
      if (!constants_.contains(source(node.input(0))) && !producer_.contains(node.input(0)))
        throw FormatError(str(node.name(), " reads nothing"));
    } else if (op == "QuantizeLinear") {
      quantize(node, value->second);
    } else if (op == "DequantizeLinear") {
      node_of_[node.output(0)] = value->second;
    } else if (op == "Relu") {
      relu_.insert(value->second);
      node_of_[node.output(0)] = value->second;
    } else {
      Int8Node made;
      made.inputs = {value->second};
      made.format.real = true;
      if (op == "Conv" || op == "Gemm")
        weigh(node, made);
      else if (op == "Add")
        made.op = "add", made.inputs.push_back(node_of_.at(node.input(1)));
      else if (op == "GlobalAveragePool")
        made.op = "avg_pool", made.attributes.set("kernel", List{});
      else if (op == "Flatten")
        made.op = "flatten";
      else
        throw FormatError(str(node.name(), ": ", op));
      add(made, node.output(0));
    }
  }

  void quantize(const onnx::NodeProto& node, int input) {
    qat::Int8Format f;
    f.scale = constant(node.input(1)).item<float>();
    const Tensor zero = constant(node.input(2));
    DType dtype = zero.dtype();
    source(node.input(2), &dtype);
    f.zero_point = static_cast<int32_t>(number(zero, 0));
    f.is_signed = dtype == DType::s8;
    f.lo = f.is_signed ? -128 : 0, f.hi = f.is_signed ? 127 : 255;
    if (relu_.contains(input)) f.lo = std::max(f.lo, f.zero_point);
    if (Int8Node& from = graph_.nodes[static_cast<size_t>(input)]; from.op != "input") {
      from.format = f;
      from.name = node.output(0);
      node_of_[node.output(0)] = input;
    } else {
      Int8Node made;
      made.op = "quantize", made.inputs = {input}, made.format = f;
      add(made, node.output(0));
    }
  }

  // Codes of weights or biases, and their scales.
  struct Codes {
    Tensor codes, scale;
  };
  Codes codes_of(const std::string& name) const {
    const onnx::NodeProto& dq = *producer_.at(name);
    const auto quantizer = producer_.find(dq.input(0));
    const Tensor scale = constant(dq.input(1));
    if (quantizer == producer_.end()) return {constant(dq.input(0)), scale};
    const Tensor w = constant(quantizer->second->input(0));
    Tensor q = Tensor::empty(w.shape(), DType::s8);
    const int64_t inner = w.numel() / w.size(0);
    for (int64_t i = 0; i < w.numel(); ++i) {
      const float code =
          w.data<float>()[i] / scale.data<float>()[scale.numel() == 1 ? 0 : i / inner];
      q.data<int8_t>()[i] = static_cast<int8_t>(std::clamp(std::nearbyint(code), -128.0F, 127.0F));
    }
    return {q, scale};
  }

  void weigh(const onnx::NodeProto& node, Int8Node& made) const {
    made.op = "conv";
    const bool linear = node.op_type() == "Gemm";
    const Codes w = codes_of(node.input(1));
    made.weight = linear ? w.codes : test::channels_last(w.codes);
    made.weight_scale = w.scale.reshape({w.scale.numel()});
    made.attributes.set("linear", linear);
    if (!linear) {
      made.attributes.set("stride", ints(node, "strides"));
      made.attributes.set("padding", ints(node, "pads"));
      made.attributes.set("dilation", ints(node, "dilations"));
      made.attributes.set("groups", ints(node, "group")[0]);
    }
    if (node.input_size() < 3) return;
    if (constants_.contains(node.input(2))) {
      made.bias = constant(node.input(2));
      return;
    }
    const Codes b = codes_of(node.input(2));
    made.bias = Tensor::empty(b.codes.shape(), DType::f32);
    for (int64_t c = 0; c < made.bias.numel(); ++c)
      made.bias.data<float>()[c] = static_cast<float>(b.codes.data<int32_t>()[c]) *
                                   b.scale.data<float>()[b.scale.numel() == 1 ? 0 : c];
  }

  const onnx::ModelProto& model_;
  std::map<std::string, const onnx::NodeProto*> producer_;
  std::set<std::string> constants_;
  std::map<std::string, int> node_of_;  // by value
  std::set<int> relu_;
  qat::Int8Graph graph_;
};

}  // namespace

onnx::ModelProto parse_onnx(const std::string& bytes) {
  onnx::ModelProto model;
  if (!model.ParseFromString(bytes)) throw FormatError("no ONNX model");
  return model;
}

std::map<std::string, int64_t> node_counts(const onnx::ModelProto& model) {
  std::map<std::string, int64_t> counts;
  for (const onnx::NodeProto& node : model.graph().node()) ++counts[node.op_type()];
  return counts;
}

Tensor constant_of(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::TensorProto& t : model.graph().initializer()) {
    if (t.name() != name) continue;
    Tensor value =
        Tensor::empty(Shape(List(t.dims().begin(), t.dims().end())), dtype_of_type(t.data_type()));
    if (t.has_raw_data()) {
      if (t.raw_data().size() != value.bytes()) throw FormatError(name + ": size");
      std::memcpy(value.raw(), t.raw_data().data(), value.bytes());
    } else {
      for (int64_t i = 0; i < value.numel(); ++i) {
        const int at = static_cast<int>(i);
        if (value.dtype() == DType::f32)
          value.data<float>()[i] = t.float_data(at);
        else if (value.dtype() == DType::u8)
          value.data<uint8_t>()[i] = static_cast<uint8_t>(t.int32_data(at));
        else if (value.dtype() == DType::s8)
          value.data<int8_t>()[i] = static_cast<int8_t>(t.int32_data(at));
        else
          value.data<int32_t>()[i] = t.int32_data(at);
      }
    }
    return value;
  }
  throw FormatError("no constant " + name);
}

qat::Int8Graph read_qdq(const onnx::ModelProto& model) {
  return Reader(model).run();
}

}  // namespace stair::apps
