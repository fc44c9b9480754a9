#include "core/attributes.h"

namespace stair {

const Attribute* Attributes::find(const std::string& key) const {
  for (const auto& [name, value] : items_)
    if (name == key) return &value;
  return nullptr;
}

void Attributes::set(const std::string& key, Attribute value) {
  for (auto& [name, old] : items_)
    if (name == key) {
      old = std::move(value);
      return;
    }
  items_.emplace_back(key, std::move(value));
}

std::string to_string(const Attribute& value) {
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const auto* i = std::get_if<int64_t>(&value)) return str(*i);
  if (const auto* d = std::get_if<double>(&value)) return str(*d);
  if (const auto* s = std::get_if<std::string>(&value)) return *s;
  std::string text = "[";
  for (int64_t i : std::get<std::vector<int64_t>>(value))
    text += str(text.size() > 1 ? "," : "", i);
  return text + "]";
}

}  // namespace stair
