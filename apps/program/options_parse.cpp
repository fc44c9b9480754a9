// How arguments, environment and configuration file become values. CLI11 cuts the arguments into
// flags and values; what they mean is decided here, since its own conversions take nan, 0x10 and
// 1e999.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "apps/program/options.h"
#include "core/error.h"
#include "core/text.h"

namespace stair::apps {

// What the command line said about one setting.
struct Options::Tokens {
  Setting* setting;
  std::vector<std::string> values;
};

namespace {

std::string cli_names(const Setting& setting) {
  std::string names;
  for (const std::string& name : setting.names) {
    names += (names.empty() ? "" : ",") + name;
    if (setting.kind == Kind::boolean && name.starts_with("--"))
      names += ",!--no-" + name.substr(2);
  }
  return names;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> items;
  size_t start = 0;
  for (size_t comma; (comma = text.find(',', start)) != std::string::npos; start = comma + 1)
    items.push_back(text.substr(start, comma - start));
  items.push_back(text.substr(start));
  return items;
}

std::string in_quotes(const std::string& text) {
  return "'" + printable(text, 200) + "'";
}

void assign(Setting& setting, const std::vector<std::string>& items, const std::string& where,
            const std::string& origin) {
  if (const Problem problem = setting.assign(items))
    throw ConfigError(where + ": " + problem.message, problem.hint);
  setting.origin = origin;
}

bool fits(Kind wanted, const ConfigEntry& entry) {
  if (wanted == entry.kind) return true;
  if (wanted == Kind::real) return entry.kind == Kind::integer;
  if (entry.items.empty()) return is_list(wanted) && is_list(entry.kind);
  return false;
}

// An "=" with nothing behind it would make CLI11 take the next argument as the value.
void refuse_empty_values(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return;
    if (argument.size() > 3 && argument.starts_with("--") && argument.ends_with("="))
      throw ConfigError(printable(argument) + ": the value is empty",
                        "leave the setting out instead");
  }
}

}  // namespace

std::vector<std::string> Options::flag_names() const {
  std::vector<std::string> names;
  for (const Setting& setting : settings_)
    for (const std::string& name : setting.names) {
      if (!setting.positional) names.push_back(name);
      if (setting.kind == Kind::boolean && name.starts_with("--"))
        names.push_back("--no-" + name.substr(2));
    }
  return names;
}

std::vector<Options::Tokens> Options::tokenize(const std::vector<std::string>& arguments) {
  refuse_empty_values(arguments);
  CLI::App cli;
  cli.set_help_flag();
  cli.allow_extras();
  std::vector<CLI::Option*> handles;
  for (const Setting& setting : settings_) {
    CLI::Option* handle = setting.kind == Kind::boolean ? cli.add_flag(cli_names(setting))
                                                        : cli.add_option(cli_names(setting));
    handle->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    handles.push_back(handle);
  }
  try {
    cli.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    const std::string name = what.substr(0, what.find(':'));
    throw ConfigError(name + ": the value is missing", "write " + name + "=VALUE");
  } catch (const CLI::ParseError& error) {
    throw ConfigError(printable(error.what(), 300), "see " + program_ + " --help");
  }
  std::vector<Tokens> found;
  for (size_t i = 0; i < handles.size(); ++i)
    if (handles[i]->count() > 0) {
      found.push_back({&settings_[i], handles[i]->results()});
      for (const std::string& value : found.back().values)
        refuse_swallowed_flag(settings_[i], value);
    }
  refuse_unknown(cli.remaining());
  return found;
}

void Options::refuse_unknown(const std::vector<std::string>& rest) const {
  for (const std::string& argument : rest) {
    if (argument.size() < 2 || argument[0] != '-') continue;
    const std::string name = argument.substr(0, argument.find('='));
    const std::string near = nearest(name, flag_names());
    throw ConfigError("unknown flag " + in_quotes(name), near.empty()
                                                             ? "see " + program_ + " --help-all"
                                                             : "did you mean " + near + "?");
  }
  for (const std::string& argument : rest)
    if (argument != "--")
      throw ConfigError("unexpected argument " + in_quotes(argument),
                        "flags begin with --, see " + program_ + " --help");
}

// CLI11 gives the next argument to a flag that wants a value, even when that is a flag itself.
void Options::refuse_swallowed_flag(const Setting& setting, const std::string& value) const {
  for (const std::string& name : flag_names())
    if (value == name || value.starts_with(name + "="))
      throw ConfigError(str(setting.names[0], ": the value is missing before ", in_quotes(value)),
                        str("for a file of that name write ", setting.names[0], " ./", name));
}

void Options::assign_flag(const Tokens& tokens) {
  Setting& setting = *tokens.setting;
  const std::string& name = setting.names[0];
  if (tokens.values.size() > 1) throw ConfigError(name + " is given twice", "give it once");
  const std::string& value = tokens.values.at(0);
  assign(setting, is_list(setting.kind) ? split_list(value) : std::vector{value},
         name + " " + in_quotes(value), setting.positional ? "argument" : "flag " + name);
}

void Options::assign_environment() {
  for (Setting& setting : settings_) {
    if (setting.about.environment.empty()) continue;
    const char* value = std::getenv(setting.about.environment.c_str());
    if (value == nullptr || *value == 0) continue;
    assign(setting, is_list(setting.kind) ? split_list(value) : std::vector<std::string>{value},
           setting.about.environment + "=" + in_quotes(value),
           "environment " + setting.about.environment);
  }
}

void Options::assign_config(const std::string& path) {
  std::vector<std::string> keys;
  for (const Setting& setting : settings_)
    if (setting.about.saved) keys.push_back(setting.key);
  for (ConfigEntry& entry : read_config_file(path)) {
    for (const auto& [old_key, new_key] : renamed_)
      if (entry.key == old_key) {
        notes_.push_back(str(entry.place, ": '", old_key, "' is called '", new_key, "' now"));
        entry.key = new_key;
      }
    const auto setting = std::find_if(settings_.begin(), settings_.end(), [&](const Setting& s) {
      return s.key == entry.key && s.about.saved;
    });
    const std::string where = str(entry.place, ": '", printable(entry.key), "'");
    if (setting == settings_.end())
      throw ConfigError(where + " is no setting of " + program_, did_you_mean(entry.key, keys));
    if (!setting->origin.empty())
      throw ConfigError(str(where, " is given twice, also at ", setting->origin));
    if (!fits(setting->kind, entry))
      throw ConfigError(str(where, " is ", entry.type, ", expected ", setting->expected));
    assign(*setting, entry.items, where, entry.place);
  }
}

void Options::check_complete() const {
  for (const Setting& setting : settings_)
    if (setting.about.required && setting.origin.empty())
      throw ConfigError(setting.names[0] + " is required",
                        examples_.empty() ? "" : "for example: " + examples_[0].first);
  const auto on = [&](const std::string& name) {
    const Setting& setting = find(name);
    return !setting.origin.empty() && setting.toml() != "false";
  };
  for (const Pair& pair : contradictions_)
    if (on(pair.name) && on(pair.other)) refuse_both(pair.name, pair.other, pair.why);
}

bool Options::parse(const std::vector<std::string>& arguments) {
  return parse(arguments, std::cout);
}

bool Options::parse(const std::vector<std::string>& arguments, std::ostream& out) {
  const std::vector<Tokens> tokens =
      arguments == std::vector<std::string>{"help"} ? tokenize({"--help"}) : tokenize(arguments);
  const auto is_own = [&](const Tokens& token) {
    return std::find(own_.begin(), own_.end(), token.setting) != own_.end();
  };
  for (const Tokens& token : tokens)
    if (is_own(token)) assign_flag(token);
  if (help_ || help_all_) {
    print_help(out, help_all_);
    return false;
  }
  if (version_) {
    out << program_ << ' ' << STAIR_VERSION << '\n';
    return false;
  }
  if (!config_.empty()) assign_config(config_);
  assign_environment();
  for (const Tokens& token : tokens)
    if (!is_own(token)) assign_flag(token);
  check_complete();
  if (print_config_) out << to_toml(true);
  return !print_config_;
}

}  // namespace stair::apps
