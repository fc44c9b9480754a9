// The settings of a program: flags, environment, a configuration file, defaults; help; the resolved
// configuration.
//
// A flag wins over its environment variable, that over the configuration file, that over the
// default. Numbers are strict, names are checked against lists, and whatever is wrong is a
// ConfigError that names the flag (or file:line:column) and what is allowed.
//
//   Options options("qat_train", "Trains a network for int8.");
//   options.group("Training");
//   options.integer("--epochs", epochs, {.max = 100000}, {.help = "passes over the training set",
//   .usual = true}); options.choice("--opt", optimizer, {"sgd", "adam"}, {.help = "optimizer"}); if
//   (!options.parse(arguments)) return 0;  // help, version or configuration was printed
#pragma once

#include <deque>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/program/config_file.h"
#include "apps/program/numbers.h"
#include "apps/program/settings.h"

namespace stair::apps {

class Options {
 public:
  // Adds --help, --help-all, --version, --config, --print-config, --json and --quiet.
  Options(std::string program, std::string summary);
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // Settings that follow stand under this heading in help and in the configuration.
  void group(std::string title) { group_ = std::move(title); }

  // `names` is a comma-separated list, the name that is the key first: "--lr-scheduler,--sched",
  // "--batch-size,-b". The variable holds the default and receives the value; an empty optional
  // means "not set".
  template <class T>
  void integer(const std::string& names, T& value, IntegerRange range, About about) {
    add_integer(
        names, [&value](int64_t number) { value = static_cast<T>(number); },
        [&value] { return std::optional<int64_t>(value); }, std::move(range), std::move(about));
  }
  void integer(const std::string& names, std::optional<int64_t>& value, IntegerRange range,
               About about);
  template <class T>
  void real(const std::string& names, T& value, RealRange range, About about) {
    add_real(
        names, [&value](double number) { value = static_cast<T>(number); },
        [&value] { return std::optional<double>(value); }, range, std::move(about));
  }
  void real(const std::string& names, std::optional<double>& value, RealRange range, About about);
  // Exactly `count` numbers: --mean 0.485,0.456,0.406.
  void reals(const std::string& names, std::vector<double>& values, size_t count, RealRange range,
             About about);
  // Any text but the empty one, which means "not set".
  void text(const std::string& names, std::string& value, About about);
  void texts(const std::string& names, std::vector<std::string>& values, About about);
  // One of a list of names.
  void choice(const std::string& names, std::string& value, std::vector<std::string> allowed,
              About about);
  // --name and --no-name.
  void flag(const std::string& names, bool& value, About about);
  // An argument without a name, in the order of the calls.
  void positional(const std::string& name, std::string& value, About about);

  // Two settings that must not both be given (a flag set to false is not given).
  void contradiction(const std::string& name, const std::string& other, const std::string& why);
  // A key of older releases: accepted in configuration files, with a line in notes().
  void renamed(const std::string& old_key, const std::string& new_key);
  // A worked example: a command line and what it does. Help shows all, a missing flag the first.
  void example(std::string command, std::string what);

  // Reads the arguments (without the program's name). False when the answer went to `out` already:
  // help, version, configuration.
  bool parse(const std::vector<std::string>& arguments, std::ostream& out);
  bool parse(const std::vector<std::string>& arguments);

  // Whether a flag, the environment or the configuration file set it.
  bool given(const std::string& name) const;
  // Whether the program has such a setting.
  bool has(const std::string& name) const;
  // One line for each oddity that was tolerated.
  const std::vector<std::string>& notes() const { return notes_; }
  bool json() const { return json_; }
  bool quiet() const { return quiet_; }
  // The resolved configuration as TOML, the origin of each value in a comment. `everything` adds
  // what is not `saved`.
  std::string to_toml(bool everything = false) const;
  void print_help(std::ostream& out, bool everything) const;

 private:
  struct Tokens;
  struct Pair {
    std::string name, other, why;
  };
  Setting& add(const std::string& names, Kind kind, std::string expected, About about);
  void add_integer(const std::string& names, std::function<void(int64_t)> set,
                   std::function<std::optional<int64_t>()> get, IntegerRange range, About about);
  void add_real(const std::string& names, std::function<void(double)> set,
                std::function<std::optional<double>()> get, RealRange range, About about);

  std::vector<Tokens> tokenize(const std::vector<std::string>& arguments);
  void refuse_unknown(const std::vector<std::string>& rest) const;
  void refuse_swallowed_flag(const Setting& setting, const std::string& value) const;
  void assign_config(const std::string& path);
  void assign_environment();
  void assign_flag(const Tokens& tokens);
  void check_complete() const;
  const Setting* look_up(const std::string& name) const;  // null: there is none
  const Setting& find(const std::string& name) const;
  std::vector<std::string> flag_names() const;

  std::string program_;
  std::string summary_;
  std::string group_ = "General";
  std::deque<Setting> settings_;     // pointers to its elements stay valid
  std::vector<const Setting*> own_;  // those of every program, assigned before the others
  std::vector<Pair> contradictions_;
  std::vector<std::pair<std::string, std::string>> renamed_;
  std::vector<std::pair<std::string, std::string>> examples_;
  std::vector<std::string> notes_;
  std::string config_;
  bool help_ = false, help_all_ = false, version_ = false;
  bool print_config_ = false, json_ = false, quiet_ = false;
};

// Throws the ConfigError of two settings that contradict each other.
[[noreturn]] void refuse_both(const std::string& name, const std::string& other,
                              const std::string& why);

}  // namespace stair::apps
