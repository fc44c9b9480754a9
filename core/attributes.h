// Named attributes of operations and graph nodes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace stair {

using Attribute = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>;

// A small map that keeps the order of insertion.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, Attribute>> items) : items_(items) {}

  bool has(const std::string& key) const { return find(key) != nullptr; }
  void set(const std::string& key, Attribute value);
  // The value of `key`. Throws ConfigError when it is missing or of another type.
  template <class T>
  const T& get(const std::string& key) const;

  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  bool operator==(const Attributes&) const = default;

 private:
  const Attribute* find(const std::string& key) const;
  std::vector<std::pair<std::string, Attribute>> items_;
};

// Prints as 1, 0.5, true, [1,2] or text.
std::string to_string(const Attribute& value);

template <class T>
const T& Attributes::get(const std::string& key) const {
  const Attribute* value = find(key);
  if (value == nullptr) throw ConfigError(str("attribute '", key, "' is missing"));
  if (!std::holds_alternative<T>(*value))
    throw ConfigError(
        str("attribute '", key, "' has another type, its value is ", to_string(*value)));
  return std::get<T>(*value);
}

}  // namespace stair
