// From layers to QConfigs, by how they are called; names, priorities and order are torch.ao's.
#pragma once

#include "core/json.h"
#include "nn/graph/graph.h"
#include "qat/qconfig.h"

namespace stair::qat {

// In increasing priority:
//   set_global
//   set_object_type                     a type, see object_type
//   set_module_name_regex               must match from the start of the module's path; regexes are
//                                       tried in the order of their first registration
//   set_module_name                     a path; of several the one that is nearest to the module
//   set_module_name_object_type_order   the index-th operation of a type that a module runs, by
//                                       itself or through a layer that is its child
// An empty QConfig leaves the layer float. Setting again for the same key replaces the QConfig in
// its place.
class QConfigMapping {
 public:
  using Entry = std::optional<QConfig>;

  QConfigMapping& set_global(Entry qconfig);
  QConfigMapping& set_object_type(const std::string& type, Entry qconfig);
  // Throws ConfigError when it is no regular expression (ECMAScript).
  QConfigMapping& set_module_name_regex(const std::string& regex, Entry qconfig);
  QConfigMapping& set_module_name(const std::string& name, Entry qconfig);
  QConfigMapping& set_module_name_object_type_order(const std::string& name,
                                                    const std::string& type, int64_t index,
                                                    Entry qconfig);

  // The QConfig of an operation.
  Entry qconfig_of(const nn::Graph& graph, const nn::Node& node) const;
  // Throws ConfigError with the nearest name when a name, a regex or an index means no operation.
  void require_names(const nn::Graph& graph) const;

  // An object with the keys "", "object_type", "module_name_regex", "module_name" and
  // "module_name_object_type_order", all optional; the values are lists of lists that end in a
  // QConfig (of "" the QConfig itself).
  Json to_dict() const;
  static QConfigMapping from_dict(const Json& dict);

 private:
  struct Ordered {
    std::string name, type;
    int64_t index;
    Entry qconfig;
  };
  using Named = std::vector<std::pair<std::string, Entry>>;
  Entry global_;
  Named types_, regexes_, names_;
  std::vector<Ordered> ordered_;
};

// The backend's default for all layers.
QConfigMapping get_default_qconfig_mapping(const std::string& backend = "x86");
QConfigMapping get_default_qat_qconfig_mapping(const std::string& backend = "x86");

}  // namespace stair::qat
