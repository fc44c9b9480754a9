#include "core/json.h"
#include "core/tensor_table.h"
#include "qat/int8/graph.h"

namespace stair::qat {
namespace {

constexpr uint32_t kVersion = 1;

Json to_json(const Attribute& value) {
  if (const auto* list = std::get_if<std::vector<int64_t>>(&value)) {
    Json array = Json::array();
    for (int64_t i : *list) array.push_back(i);
    return array;
  }
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::vector<int64_t>>)
          return Json::array();
        else
          return Json(v);
      },
      value);
}

Json to_json(const Attributes& attributes) {
  Json object = Json::object();
  for (const auto& [key, value] : attributes) object.set(key, to_json(value));
  return object;
}

Attribute attribute_from(const Json& value) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_integer()) return value.as_int();
  if (value.is_string()) return value.as_string();
  if (!value.is_array()) return value.as_double();
  std::vector<int64_t> list;
  for (const Json& element : value.as_array()) list.push_back(element.as_int());
  return list;
}

Attributes attributes_from(const Json& object) {
  Attributes attributes;
  for (const auto& [key, value] : object.as_object()) attributes.set(key, attribute_from(value));
  return attributes;
}

// The name of a tensor of node `index` in the file's table.
std::string tensor_name(size_t index, const char* role) {
  return str(index, '.', role);
}

Json to_json(const Int8Node& node) {
  Json object = Json::object();
  object.set("op", node.op);
  object.set("name", node.name);
  Json inputs = Json::array();
  for (int i : node.inputs) inputs.push_back(i);
  object.set("inputs", std::move(inputs));
  object.set("attributes", to_json(node.attributes));
  const Int8Format& f = node.format;
  Json format = Json::object();
  format.set("real", f.real);
  if (!f.real) {
    format.set("signed", f.is_signed);
    format.set("scale", f.scale);
    format.set("zero_point", f.zero_point);
    format.set("lo", f.lo);
    format.set("hi", f.hi);
  }
  object.set("format", std::move(format));
  return object;
}

int32_t small_integer(const Json& value) {
  const int64_t i = value.as_int();
  if (i < -(1 << 20) || i > (1 << 20)) throw FormatError(str("int8 graph: ", i, " is no code"));
  return static_cast<int32_t>(i);
}

Int8Node node_from(const Json& object) {
  Int8Node node;
  node.op = object.at("op").as_string();
  node.name = object.at("name").as_string();
  for (const Json& i : object.at("inputs").as_array()) node.inputs.push_back(small_integer(i));
  node.attributes = attributes_from(object.at("attributes"));
  const Json& format = object.at("format");
  node.format.real = format.at("real").as_bool();
  if (!node.format.real) {
    node.format.is_signed = format.at("signed").as_bool();
    node.format.scale = static_cast<float>(format.at("scale").as_double());
    node.format.zero_point = small_integer(format.at("zero_point"));
    node.format.lo = small_integer(format.at("lo"));
    node.format.hi = small_integer(format.at("hi"));
  }
  return node;
}

}  // namespace

void save_int8_graph(const Int8Graph& graph, const std::string& path) {
  graph.validate();
  TensorTable tensors("tensors");
  Json nodes = Json::array(), classes = Json::array(), root = Json::object();
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Int8Node& node = graph.nodes[i];
    nodes.push_back(to_json(node));
    tensors.add(tensor_name(i, "weight"), node.weight);
    tensors.add(tensor_name(i, "weight_scale"), node.weight_scale);
    tensors.add(tensor_name(i, "bias"), node.bias);
    for (size_t t = 0; t < node.tensors.size(); ++t)
      tensors.add(tensor_name(i, str("tensor", t).c_str()), node.tensors[t]);
  }
  for (const std::string& class_name : graph.class_names) classes.push_back(class_name);
  root.set("metadata", to_json(graph.metadata));
  root.set("class_names", std::move(classes));
  root.set("nodes", std::move(nodes));
  const std::string text = root.dump(1);
  std::vector<Section> sections = {Section("graph", std::string_view(text))};
  tensors.append_sections(sections);
  write_section_file(path, kInt8GraphMagic, kVersion, sections);
}

Int8Graph load_int8_graph(const std::string& path) {
  const SectionFile file = read_section_file(path, kInt8GraphMagic, kVersion);
  const Json root = parse_json(file.text("graph"), path);
  std::map<std::string, Tensor> tensors = read_tensor_table(file, "tensors");
  Int8Graph graph;
  graph.metadata = attributes_from(root.at("metadata"));
  for (const Json& class_name : root.at("class_names").as_array())
    graph.class_names.push_back(class_name.as_string());
  for (const Json& object : root.at("nodes").as_array()) {
    const size_t i = graph.nodes.size();
    Int8Node node = node_from(object);
    node.weight = tensors[tensor_name(i, "weight")];
    node.weight_scale = tensors[tensor_name(i, "weight_scale")];
    node.bias = tensors[tensor_name(i, "bias")];
    for (Tensor t;
         (t = tensors[tensor_name(i, str("tensor", node.tensors.size()).c_str())]).defined();)
      node.tensors.push_back(std::move(t));
    graph.nodes.push_back(std::move(node));
  }
  graph.validate();
  return graph;
}

}  // namespace stair::qat
