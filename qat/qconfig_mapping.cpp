#include "qat/qconfig_mapping.h"

#include <algorithm>
#include <regex>

#include "core/text.h"
#include "qat/node_patterns.h"
#include "qat/spec_json.h"

namespace stair::qat {
namespace {

void set_in_place(auto& named, const std::string& name, QConfigMapping::Entry qconfig) {
  for (auto& [known, entry] : named)
    if (known == name) {
      entry = std::move(qconfig);
      return;
    }
  named.emplace_back(name, std::move(qconfig));
}

// The module around a module; empty at the top.
std::string parent(const std::string& path) {
  const size_t point = path.rfind('.');
  return point == std::string::npos ? "" : path.substr(0, point);
}

std::vector<std::string> paths_of(const nn::Graph& graph) {
  std::vector<std::string> paths;
  for (const nn::Node& node : graph.nodes())
    if (node.operation() && !node.path.empty()) paths.push_back(node.path);
  return paths;
}

bool runs(const std::string& module, const nn::Node& node) {
  return node.path == module || (!node.path.empty() && parent(node.path) == module);
}

bool matches(const std::string& regex, const std::string& path) {
  return std::regex_search(path, std::regex(regex), std::regex_constants::match_continuous);
}

// The place of a node among the operations of its type that the module runs; -1: it runs it not.
int64_t index_in(const std::string& module, const nn::Graph& graph, const nn::Node& node) {
  int64_t index = 0;
  for (const nn::Node& other : graph.nodes()) {
    if (other.id == node.id) return runs(module, node) ? index : -1;
    index += other.op == node.op && runs(module, other);
  }
  return -1;
}

}  // namespace

QConfigMapping& QConfigMapping::set_global(Entry qconfig) {
  global_ = std::move(qconfig);
  return *this;
}

QConfigMapping& QConfigMapping::set_object_type(const std::string& type, Entry qconfig) {
  set_in_place(types_, object_type(type), std::move(qconfig));
  return *this;
}

QConfigMapping& QConfigMapping::set_module_name_regex(const std::string& regex, Entry qconfig) {
  try {
    (void)std::regex(regex);
  } catch (const std::regex_error& error) {
    throw ConfigError(str("set_module_name_regex: '", regex, "': ", error.what()));
  }
  set_in_place(regexes_, regex, std::move(qconfig));
  return *this;
}

QConfigMapping& QConfigMapping::set_module_name(const std::string& name, Entry qconfig) {
  set_in_place(names_, name, std::move(qconfig));
  return *this;
}

QConfigMapping& QConfigMapping::set_module_name_object_type_order(const std::string& name,
                                                                  const std::string& type,
                                                                  int64_t index, Entry qconfig) {
  const std::string op = object_type(type);
  for (Ordered& o : ordered_)
    if (o.name == name && o.type == op && o.index == index) {
      o.qconfig = std::move(qconfig);
      return *this;
    }
  ordered_.push_back({name, op, index, std::move(qconfig)});
  return *this;
}

QConfigMapping::Entry QConfigMapping::qconfig_of(const nn::Graph& graph,
                                                 const nn::Node& node) const {
  for (const Ordered& o : ordered_)
    if (o.type == node.op && o.index == index_in(o.name, graph, node)) return o.qconfig;
  for (std::string path = node.path; !path.empty(); path = parent(path))
    for (const auto& [name, qconfig] : names_)
      if (name == path) return qconfig;
  for (const auto& [regex, qconfig] : regexes_)
    if (matches(regex, node.path)) return qconfig;
  for (const auto& [type, qconfig] : types_)
    if (type == node.op) return qconfig;
  return global_;
}

void QConfigMapping::require_names(const nn::Graph& graph) const {
  const auto any = [&](const auto& fits) {
    return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                       [&](const nn::Node& n) { return n.operation() && fits(n); });
  };
  for (const auto& [name, qconfig] : names_) require_node(graph, name, "set_module_name");
  for (const auto& [regex, qconfig] : regexes_)
    if (!any([&](const nn::Node& n) { return matches(regex, n.path); }))
      throw ConfigError(str("set_module_name_regex: no layer of the model matches '", regex, "'"),
                        did_you_mean(regex, paths_of(graph)));
  for (const Ordered& o : ordered_) {
    require_node(graph, o.name, "set_module_name_object_type_order");
    if (!any([&](const nn::Node& n) {
          return n.op == o.type && index_in(o.name, graph, n) == o.index;
        }))
      throw ConfigError(str("set_module_name_object_type_order: '", o.name, "' runs no ", o.type,
                            " number ", o.index));
  }
}

Json QConfigMapping::to_dict() const {
  const auto list = [](const Named& named) {
    Json entries = Json::array();
    for (const auto& [name, qconfig] : named)
      entries.push_back(Json::Array{Json(name), to_json(qconfig)});
    return entries;
  };
  Json ordered = Json::array();
  for (const Ordered& o : ordered_)
    ordered.push_back(Json::Array{Json(o.name), Json(o.type), Json(o.index), to_json(o.qconfig)});
  Json dict = Json::object();
  dict.set("", to_json(global_));
  dict.set("object_type", list(types_));
  dict.set("module_name_regex", list(regexes_));
  dict.set("module_name", list(names_));
  dict.set("module_name_object_type_order", std::move(ordered));
  return dict;
}

QConfigMapping QConfigMapping::from_dict(const Json& dict) {
  refuse_unknown_keys(
      dict,
      {"", "object_type", "module_name_regex", "module_name", "module_name_object_type_order"},
      "QConfigMapping");
  QConfigMapping mapping;
  if (const Json* global = dict.find("")) mapping.set_global(qconfig_from_json(*global));
  const auto each = [&](const char* key, size_t size, const auto& use) {
    const Json* list = dict.find(key);
    if (list == nullptr) return;
    for (const Json& entry : list->as_array()) {
      if (entry.as_array().size() != size)
        throw ConfigError(str("QConfigMapping: an entry of '", key, "' has ",
                              entry.as_array().size(), " elements, expected ", size));
      use(entry);
    }
  };
  each("object_type", 2, [&](const Json& e) {
    mapping.set_object_type(e.at(size_t{0}).as_string(), qconfig_from_json(e.at(1)));
  });
  each("module_name_regex", 2, [&](const Json& e) {
    mapping.set_module_name_regex(e.at(size_t{0}).as_string(), qconfig_from_json(e.at(1)));
  });
  each("module_name", 2, [&](const Json& e) {
    mapping.set_module_name(e.at(size_t{0}).as_string(), qconfig_from_json(e.at(1)));
  });
  each("module_name_object_type_order", 4, [&](const Json& e) {
    mapping.set_module_name_object_type_order(e.at(size_t{0}).as_string(), e.at(1).as_string(),
                                              e.at(2).as_int(), qconfig_from_json(e.at(3)));
  });
  return mapping;
}

QConfigMapping get_default_qconfig_mapping(const std::string& backend) {
  return QConfigMapping().set_global(get_default_qconfig(backend));
}

QConfigMapping get_default_qat_qconfig_mapping(const std::string& backend) {
  return QConfigMapping().set_global(get_default_qat_qconfig(backend));
}

}  // namespace stair::qat
