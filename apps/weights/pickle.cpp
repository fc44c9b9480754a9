#include "apps/weights/pickle.h"

#include <algorithm>

#include "apps/weights/pickle_machine.h"
#include "core/text.h"

namespace stair::apps {

Pickle::Pickle(std::string bytes, const std::string& what) : bytes_(std::move(bytes)) {
  PickleMachine machine(bytes_, what);
  root_ = machine.run();
  values_ = machine.take_values();
}

const uint32_t* Pickle::find(const PickleValue& dict, std::string_view key) const {
  const uint32_t* found = nullptr;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue& k = values_[dict.items[i]];
    if (k.kind == PickleKind::text && k.text == key) found = &dict.items[i + 1];
  }
  return found;
}

std::string Pickle::type_name(const PickleValue& value) const {
  static constexpr const char* kNames[] = {"None", "bool", "integer", "number", "text", "tuple",
                                           "list", "dict", "",        "",       "",     "storage"};
  if (value.kind == PickleKind::global) return dotted(value);
  if (value.kind != PickleKind::call && value.kind != PickleKind::object)
    return kNames[static_cast<size_t>(value.kind)];
  // Old classes are made by copyreg._reconstructor(class, base, state).
  const PickleValue &made_by = values_[value.items[0]], &arguments = values_[value.items[1]];
  if (made_by.text.ends_with("\n_reconstructor") && !arguments.items.empty() &&
      values_[arguments.items[0]].kind == PickleKind::global)
    return dotted(values_[arguments.items[0]]);
  return dotted(made_by);
}

std::string dotted(const PickleValue& global) {
  std::string name(global.text);
  std::replace(name.begin(), name.end(), '\n', '.');
  return printable(name);
}

}  // namespace stair::apps
