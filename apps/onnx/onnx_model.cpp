#include "apps/onnx/onnx_model.h"

#include <array>

#include "core/packed_codes.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr size_t kLongestName = 1000;

// The oldest form of the file that has the operator set: the widest choice of readers.
int64_t file_version(int64_t opset) {
  return opset < 15 ? 7 : opset < 19 ? 8 : opset < 21 ? 9 : 10;
}

onnx::TensorProto::DataType type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return onnx::TensorProto::FLOAT;
    case DType::f64:
      return onnx::TensorProto::DOUBLE;
    case DType::u8:
      return onnx::TensorProto::UINT8;
    case DType::s8:
      return onnx::TensorProto::INT8;
    case DType::s32:
      return onnx::TensorProto::INT32;
    case DType::s64:
      return onnx::TensorProto::INT64;
    default:
      throw DTypeError(str("ONNX: no constant of type ", dtype));
  }
}

void fill(onnx::AttributeProto& to, const std::string& key, const Attribute& value) {
  to.set_name(key);
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    to.set_type(onnx::AttributeProto::INTS);
    for (int64_t i : *list) to.add_ints(i);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    to.set_type(onnx::AttributeProto::STRING);
    to.set_s(*text);
  } else if (const auto* number = std::get_if<double>(&value)) {
    to.set_type(onnx::AttributeProto::FLOAT);
    to.set_f(static_cast<float>(*number));
  } else {
    to.set_type(onnx::AttributeProto::INT);
    const auto* truth = std::get_if<bool>(&value);
    to.set_i(truth != nullptr ? int64_t{*truth} : std::get<int64_t>(value));
  }
}

void describe(onnx::ValueInfoProto& value, const std::string& name,
              const std::vector<int64_t>& shape, const std::array<const char*, 4>& symbols) {
  value.set_name(name);
  onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (size_t i = 0; i < shape.size(); ++i) {
    auto& dim = *type.mutable_shape()->add_dim();
    if (shape[i] < 0)
      dim.set_dim_param(symbols[i]);
    else
      dim.set_dim_value(shape[i]);
  }
}

}  // namespace

OnnxModel::OnnxModel(int64_t opset) {
  if (opset < kLeastOpset || opset > kMostOpset)
    throw ConfigError(
        str("ONNX: operator set ", opset, " is not one of ", kLeastOpset, " to ", kMostOpset),
        opset < kLeastOpset ? "per-channel scales need 13" : "");
  model_.set_ir_version(file_version(opset));
  model_.set_producer_name("stair");
  model_.set_producer_version(STAIR_VERSION);
  model_.add_opset_import()->set_version(opset);
  model_.mutable_graph()->set_name("stair");
}

std::string OnnxModel::free_name(const std::string& name) {
  const std::string base = name.empty() ? "unnamed" : printable(name, kLongestName);
  std::string result = base;
  for (int i = 1; !names_.insert(result).second; ++i) result = str(base, '_', i);
  return result;
}

std::string OnnxModel::constant(const std::string& name, const Tensor& value) {
  onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(free_name(name));
  tensor.set_data_type(type_of(value.dtype()));
  for (int64_t dim : value.shape().dims()) tensor.add_dims(dim);
  tensor.set_raw_data(value.raw(), value.bytes());
  return tensor.name();
}

std::string OnnxModel::int4_constant(const std::string& name, const Tensor& codes) {
  constexpr int kInt4 = 22;  // onnx::TensorProto::INT4 of later headers
  onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(free_name(name));
  tensor.set_data_type(kInt4);
  for (int64_t dim : codes.shape().dims()) tensor.add_dims(dim);
  std::string& bytes = *tensor.mutable_raw_data();
  bytes.resize(static_cast<size_t>(packed_bytes(codes.numel(), 4)));
  pack_codes(codes.data<int8_t>(), codes.numel(), 4, reinterpret_cast<uint8_t*>(bytes.data()));
  return tensor.name();
}

std::string OnnxModel::add(const std::string& op, const std::string& result,
                           const std::vector<std::string>& inputs, const Attributes& attributes) {
  onnx::NodeProto& node = *model_.mutable_graph()->add_node();
  node.set_op_type(op);
  node.add_output(free_name(result));
  node.set_name(node.output(0));
  for (const std::string& input : inputs) node.add_input(input);
  for (const auto& [key, value] : attributes) fill(*node.add_attribute(), key, value);
  return node.output(0);
}

void OnnxModel::set_input(const std::string& name, const std::vector<int64_t>& nchw) {
  describe(*model_.mutable_graph()->add_input(), name, nchw, {"N", "C", "H", "W"});
}

void OnnxModel::set_output(const std::string& value, const std::string& name,
                           const std::vector<int64_t>& shape) {
  onnx::GraphProto& graph = *model_.mutable_graph();
  const std::string result = free_name(name);
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    if (node.output(0) == value) node.set_output(0, result);
    for (std::string& input : *node.mutable_input())
      if (input == value) input = result;
  }
  describe(*graph.add_output(), result, shape, {"N", "features", "H_out", "W_out"});
}

void OnnxModel::add_fact(const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& fact = *model_.add_metadata_props();
  fact.set_key(printable(key, kLongestName));
  fact.set_value(printable(value, SIZE_MAX));
}

std::string OnnxModel::bytes(size_t most_bytes) const {
  if (const size_t size = model_.ByteSizeLong(); size > most_bytes)
    throw FormatError(
        str("ONNX: the model takes ", size, " bytes, a file holds at most ", most_bytes));
  return model_.SerializeAsString();
}

}  // namespace stair::apps
