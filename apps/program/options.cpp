#include "apps/program/options.h"

#include <sstream>

#include "core/error.h"
#include "core/text.h"

namespace stair::apps {
namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  return parts;
}

std::string without_dashes(const std::string& name) {
  const size_t start = name.find_first_not_of('-');
  return start == std::string::npos ? "" : name.substr(start);
}

Problem check_text(const std::string& value) {
  if (value.empty()) return {"the value is empty", "leave the setting out instead"};
  for (size_t position = 0; position < value.size();)
    if (!decode_utf8(value, position))
      return {str("byte ", position, " is not UTF-8"), "rename it, or reach it through a link"};
  return {};
}

template <class T, class F>
std::string toml_array(const std::vector<T>& values, const F& element) {
  if (values.empty()) return "";
  std::string out = "[";
  for (const T& value : values) out += (out.size() > 1 ? ", " : "") + element(value);
  return out + "]";
}

}  // namespace

Options::Options(std::string program, std::string summary)
    : program_(std::move(program)), summary_(std::move(summary)) {
  flag("--help,-h", help_,
       {.help = "show the usual flags and exit", .usual = true, .saved = false});
  flag("--help-all", help_all_,
       {.help = "show every flag and exit", .usual = true, .saved = false});
  flag("--version", version_, {.help = "show the version and exit", .saved = false});
  text(
      "--config,-c", config_,
      {.help = "TOML file with settings, named as the flags are", .value = "FILE", .saved = false});
  flag("--print-config", print_config_,
       {.help = "show the resolved settings with their origins and exit", .saved = false});
  flag("--json", json_, {.help = "results and errors as JSON", .saved = false});
  flag("--quiet,-q", quiet_, {.help = "no progress", .saved = false});
  for (const Setting& setting : settings_) own_.push_back(&setting);
}

Setting& Options::add(const std::string& names, Kind kind, std::string expected, About about) {
  Setting& setting = settings_.emplace_back();
  setting.names = split(names);
  setting.key = without_dashes(setting.names.at(0));
  setting.group = group_;
  setting.about = std::move(about);
  setting.kind = kind;
  setting.expected = std::move(expected);
  return setting;
}

void Options::add_integer(const std::string& names, std::function<void(int64_t)> set,
                          std::function<std::optional<int64_t>()> get, IntegerRange range,
                          About about) {
  Setting& setting = add(names, Kind::integer, describe(range), std::move(about));
  setting.assign = [set = std::move(set), range = std::move(range)](const auto& items) {
    int64_t number = 0;
    const Problem problem = read_integer(items.at(0), range, number);
    if (!problem) set(number);
    return problem;
  };
  setting.toml = [get = std::move(get)] { return get() ? std::to_string(*get()) : ""; };
  setting.default_toml = setting.toml();
}

void Options::integer(const std::string& names, std::optional<int64_t>& value, IntegerRange range,
                      About about) {
  add_integer(
      names, [&value](int64_t number) { value = number; }, [&value] { return value; },
      std::move(range), std::move(about));
}

void Options::add_real(const std::string& names, std::function<void(double)> set,
                       std::function<std::optional<double>()> get, RealRange range, About about) {
  Setting& setting = add(names, Kind::real, describe(range), std::move(about));
  setting.assign = [set = std::move(set), range](const auto& items) {
    double number = 0;
    const Problem problem = read_real(items.at(0), range, number);
    if (!problem) set(number);
    return problem;
  };
  setting.toml = [get = std::move(get)] { return get() ? toml_real(*get()) : ""; };
  setting.default_toml = setting.toml();
}

void Options::real(const std::string& names, std::optional<double>& value, RealRange range,
                   About about) {
  add_real(
      names, [&value](double number) { value = number; }, [&value] { return value; }, range,
      std::move(about));
}

void Options::reals(const std::string& names, std::vector<double>& values, size_t count,
                    RealRange range, About about) {
  std::string expected = str(count, " numbers, each ", describe(range));
  Setting& setting = add(names, Kind::reals, expected, std::move(about));
  setting.assign = [&values, count, range, expected](const auto& items) -> Problem {
    if (items.size() != count) return {"expected " + expected, ""};
    std::vector<double> numbers(count);
    for (size_t i = 0; i < count; ++i)
      if (const Problem problem = read_real(items[i], range, numbers[i])) return problem;
    values = std::move(numbers);
    return {};
  };
  setting.toml = [&values] { return toml_array(values, toml_real); };
  setting.default_toml = setting.toml();
}

void Options::text(const std::string& names, std::string& value, About about) {
  Setting& setting = add(names, Kind::text, "a text", std::move(about));
  setting.assign = [&value](const auto& items) {
    const Problem problem = check_text(items.at(0));
    if (!problem) value = items[0];
    return problem;
  };
  setting.toml = [&value] { return value.empty() ? "" : toml_text(value); };
  setting.default_toml = setting.toml();
}

void Options::texts(const std::string& names, std::vector<std::string>& values, About about) {
  Setting& setting = add(names, Kind::texts, "a list of texts", std::move(about));
  setting.assign = [&values](const auto& items) -> Problem {
    for (const std::string& item : items)
      if (const Problem problem = check_text(item)) return problem;
    values = items;
    return {};
  };
  setting.toml = [&values] { return toml_array(values, toml_text); };
  setting.default_toml = setting.toml();
}

void Options::choice(const std::string& names, std::string& value, std::vector<std::string> allowed,
                     About about) {
  std::string expected = "one of " + join(allowed);
  Setting& setting = add(names, Kind::text, expected, std::move(about));
  setting.assign = [&value, allowed = std::move(allowed), expected](const auto& items) -> Problem {
    for (const std::string& name : allowed)
      if (name == items.at(0)) {
        value = name;
        return {};
      }
    const std::string near = nearest(items[0], allowed);
    return {"expected " + expected, near.empty() ? "" : "did you mean '" + near + "'?"};
  };
  setting.toml = [&value] { return value.empty() ? "" : toml_text(value); };
  setting.default_toml = setting.toml();
}

void Options::flag(const std::string& names, bool& value, About about) {
  Setting& setting = add(names, Kind::boolean, "true or false", std::move(about));
  setting.assign = [&value](const auto& items) -> Problem {
    if (items.at(0) != "true" && items[0] != "false") return {"expected true or false", ""};
    value = items[0] == "true";
    return {};
  };
  setting.toml = [&value] { return value ? "true" : "false"; };
  setting.default_toml = setting.toml();
}

void Options::positional(const std::string& name, std::string& value, About about) {
  about.usual = true;
  text(name, value, std::move(about));
  settings_.back().positional = true;
}

void Options::contradiction(const std::string& name, const std::string& other,
                            const std::string& why) {
  contradictions_.push_back({find(name).names[0], find(other).names[0], why});
}

void Options::renamed(const std::string& old_key, const std::string& new_key) {
  renamed_.emplace_back(old_key, find(new_key).key);
}

void Options::example(std::string command, std::string what) {
  examples_.emplace_back(std::move(command), std::move(what));
}

const Setting* Options::look_up(const std::string& name) const {
  for (const Setting& setting : settings_) {
    if (setting.key == name) return &setting;
    for (const std::string& other : setting.names)
      if (other == name) return &setting;
  }
  return nullptr;
}

bool Options::has(const std::string& name) const {
  return look_up(name) != nullptr;
}

const Setting& Options::find(const std::string& name) const {
  const Setting* setting = look_up(name);
  if (setting == nullptr) throw Error(str(program_, " has no setting '", name, "'"));
  return *setting;
}

bool Options::given(const std::string& name) const {
  return !find(name).origin.empty();
}

void refuse_both(const std::string& name, const std::string& other, const std::string& why) {
  throw ConfigError(str(name, " and ", other, " contradict each other: ", why),
                    str("leave out ", name, " or ", other));
}

}  // namespace stair::apps
