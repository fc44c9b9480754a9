#include "qat/int8/graph_builder.h"

namespace stair::qat {

int Int8GraphBuilder::index(const nn::Node& reader, int id) const {
  const auto found = converted_.find(id);
  if (found == converted_.end())
    throw ConfigError(str("convert: node '", reader.name, "' reads '", graph_.node(id).name,
                          "', which has no integer form"));
  return found->second;
}

std::vector<int> Int8GraphBuilder::indices(const nn::Node& reader) const {
  std::vector<int> all;
  for (int id : reader.inputs) all.push_back(index(reader, id));
  return all;
}

Int8Node& Int8GraphBuilder::add(const nn::Node& node, const std::string& op,
                                std::vector<int> inputs) {
  converted_[node.id] = static_cast<int>(result_.nodes.size());
  Int8Node made;
  made.op = op;
  made.name = node.name;
  made.inputs = std::move(inputs);
  result_.nodes.push_back(std::move(made));
  return result_.nodes.back();
}

Int8Node& Int8GraphBuilder::add_keeping_format(const nn::Node& node, const std::string& op) {
  const int input = index(node, node.inputs[0]);
  Int8Node& made = add(node, op, {input});
  made.format = at(input).format;
  return made;
}

Int8Node& Int8GraphBuilder::add_dequantize(const nn::Node& node, int input) {
  Int8Node& made = add(node, "float", {input});
  made.format.real = true;
  made.attributes.set("operation", std::string("dequantize"));
  made.attributes.set("sources", std::vector<int64_t>{0});
  return made;
}

}  // namespace stair::qat
