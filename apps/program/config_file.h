// Reads a configuration file (TOML 1.0) into a flat list of keys with their places.
#pragma once

#include <string>
#include <vector>

#include "apps/program/settings.h"

namespace stair::apps {

struct ConfigEntry {
  std::string key;
  std::string place;               // file:line:column
  std::string type;                // as in messages: "an integer", "a string", "an array"
  Kind kind;                       // of the value; an array of numbers is reals, any other is texts
  std::vector<std::string> items;  // the value as flags write it, one element unless it is an array
};

// The keys of the file in its order. Keys stand at the top level; `_` in a key means `-`.
//
// Throws ConfigError with file:line:column for a syntax error, a key given twice, a table, a date,
// and an array that holds anything but numbers or texts; and when the file cannot be read, is
// larger than 1 MiB or is not UTF-8 (naming the byte).
std::vector<ConfigEntry> read_config_file(const std::string& path);

}  // namespace stair::apps
