// One setting of a program: its names, what it takes, where its value came from. `Options` owns the
// list.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace stair::apps {

// What help and errors say about a setting beside its names.
struct About {
  std::string help;
  std::string value = {};  // what stands for the value in help: FOLDER; by default N, X or NAME
  std::string unit = {};   // of the value: "pictures", "s"
  std::string environment = {};  // a variable that sets it: below the flag, above the file
  bool required = false;
  bool usual = false;  // shown by --help; the others only by --help-all
  bool saved = true;   // part of the resolved configuration
};

// What a value may be in a configuration file.
enum class Kind { boolean, integer, real, text, reals, texts };

// What is wrong with a value; an empty message means nothing.
struct Problem {
  std::string message;
  std::string hint;
  explicit operator bool() const { return !message.empty(); }
};

struct Setting {
  std::vector<std::string> names;  // with their dashes, the long name that is the key first
  std::string key;                 // the first name without dashes
  std::string group;
  About about;
  Kind kind = Kind::text;
  bool positional = false;
  std::string expected;  // "an integer from 1 to 65536"
  // Stores a value, given as the elements of a list or as one text.
  std::function<Problem(const std::vector<std::string>&)> assign;
  // The value as TOML; empty when it is not set.
  std::function<std::string()> toml;
  std::string origin;        // empty: the default
  std::string default_toml;  // the value before anything was assigned
};

// A list has several elements, separated by commas on the command line.
inline bool is_list(Kind kind) {
  return kind == Kind::reals || kind == Kind::texts;
}

}  // namespace stair::apps
