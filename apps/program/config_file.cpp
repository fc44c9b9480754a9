#include "apps/program/config_file.h"

#include <toml++/toml.h>

#include <map>

#include "apps/program/numbers.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr size_t kLargestFile = 1 << 20;

std::string read_text(const std::string& path) {
  const std::string text = read_file(path, kLargestFile, FileUse::config);
  for (size_t position = 0; position < text.size();)
    if (!decode_utf8(text, position))
      throw ConfigError(
          str("cannot read '", printable(path, 500), "': byte ", position, " is not UTF-8"),
          "save the file as UTF-8");
  return text;
}

std::string place_of(const std::string& path, const toml::source_position& at) {
  return str(printable(path, 500), ":", at.line, ":", at.column);
}

// The element as flags write it; false when it is neither a number, a text nor a boolean.
bool element_text(const toml::node& node, std::string& text) {
  if (const auto* boolean = node.as_boolean())
    text = boolean->get() ? "true" : "false";
  else if (const auto* integer = node.as_integer())
    text = std::to_string(integer->get());
  else if (const auto* real = node.as_floating_point())
    text = toml_real(real->get());
  else if (const auto* string = node.as_string())
    text = string->get();
  else
    return false;
  return true;
}

void read_array(const toml::array& array, ConfigEntry& entry) {
  bool numbers = true;
  for (const toml::node& node : array) {
    std::string text;
    if (!element_text(node, text) || node.is_boolean())
      throw ConfigError(str(entry.place, ": '", printable(entry.key),
                            "' is an array that holds neither numbers nor texts only"));
    numbers = numbers && node.is_number();
    entry.items.push_back(text);
  }
  entry.kind = numbers ? Kind::reals : Kind::texts;
  entry.type = numbers ? "an array of numbers" : "an array of texts";
}

ConfigEntry read_entry(const std::string& path, const std::string& name, const toml::node& node,
                       const toml::source_position& at) {
  ConfigEntry entry{name, place_of(path, at), "", Kind::text, {}};
  for (char& c : entry.key) c = c == '_' ? '-' : c;
  if (node.is_table())
    throw ConfigError(str(entry.place, ": [", printable(name), "] is a table"),
                      "keys stand at the top level, named as the flags are");
  if (const toml::array* array = node.as_array()) {
    read_array(*array, entry);
    return entry;
  }
  entry.items.resize(1);
  if (!element_text(node, entry.items[0]))
    throw ConfigError(str(entry.place, ": '", printable(name), "' is a date or time"));
  entry.kind = node.is_boolean()          ? Kind::boolean
               : node.is_integer()        ? Kind::integer
               : node.is_floating_point() ? Kind::real
                                          : Kind::text;
  entry.type = node.is_boolean()          ? "a boolean"
               : node.is_integer()        ? "an integer"
               : node.is_floating_point() ? "a number with a fraction"
                                          : "a text";
  return entry;
}

}  // namespace

std::vector<ConfigEntry> read_config_file(const std::string& path) {
  const std::string text = read_text(path);
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    throw ConfigError(
        str(place_of(path, error.source().begin), ": ", printable(error.description(), 300)));
  }
  // toml++ sorts its keys; the places put them back into the order of the file.
  std::map<std::pair<toml::source_index, toml::source_index>, ConfigEntry> in_order;
  std::map<std::string, std::string> places;
  for (const auto& [key, node] : table) {
    const toml::source_position& at = key.source().begin;
    ConfigEntry entry = read_entry(path, std::string(key.str()), node, at);
    const auto [first, fresh] = places.emplace(entry.key, entry.place);
    if (!fresh)
      throw ConfigError(str(entry.place, ": '", printable(key.str()), "' is given twice, also at ",
                            first->second));
    in_order.emplace(std::pair(at.line, at.column), std::move(entry));
  }
  std::vector<ConfigEntry> entries;
  for (auto& [at, entry] : in_order) entries.push_back(std::move(entry));
  return entries;
}

}  // namespace stair::apps
