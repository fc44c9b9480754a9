// Help and the resolved configuration, both written from the list of settings.
#include <algorithm>
#include <ostream>
#include <sstream>

#include "apps/program/exit_codes.h"
#include "apps/program/options.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr size_t kTextColumn = 32;
constexpr size_t kLastColumn = 100;

std::string value_name(const Setting& setting) {
  if (!setting.about.value.empty()) return setting.about.value;
  switch (setting.kind) {
    case Kind::boolean:
      return "";
    case Kind::integer:
      return "N";
    case Kind::real:
      return "X";
    case Kind::reals:
      return "X,...";
    case Kind::text:
      return setting.expected.starts_with("one of ") ? "NAME" : "TEXT";
    case Kind::texts:
      return "TEXT,...";
  }
  return "";
}

// "-b, --batch-size N"; the name that is the key first, short ones before it.
std::string usage_of(const Setting& setting) {
  std::string short_names, long_names;
  for (const std::string& name : setting.names)
    (name.size() == 2 ? short_names : long_names) += name + ", ";
  std::string text = short_names + long_names;
  text.resize(text.size() - 2);
  const std::string value = setting.positional ? "" : value_name(setting);
  return value.empty() ? text : text + " " + value;
}

// "passes over the set (an integer from 0 to 9, epochs; default 5; environment STAIR_E)".
std::string explanation_of(const Setting& setting) {
  std::string facts;
  const auto add = [&](const std::string& fact) { facts += (facts.empty() ? "" : "; ") + fact; };
  const bool plain = setting.kind == Kind::boolean || setting.expected == "a text" ||
                     setting.expected == "a list of texts";
  const std::string& unit = setting.about.unit;
  if (!plain) add(setting.expected + (unit.empty() ? "" : ", " + unit));
  if (setting.about.required) add("required");
  if (setting.kind == Kind::boolean && setting.default_toml == "true")
    add("default on, --no-" + setting.key + " switches it off");
  else if (setting.kind != Kind::boolean && !setting.default_toml.empty())
    add("default " + setting.default_toml);
  if (!setting.about.environment.empty()) add("environment " + setting.about.environment);
  return setting.about.help + (facts.empty() ? "" : " (" + facts + ")");
}

void print_wrapped(std::ostream& out, const std::string& left, const std::string& text) {
  std::string line = "  " + left;
  if (line.size() + 2 > kTextColumn) {
    out << line << '\n';
    line.clear();
  }
  line.resize(kTextColumn, ' ');
  std::istringstream words(text);
  bool first = true;
  for (std::string word; words >> word; first = false) {
    if (line.size() + 1 + word.size() > kLastColumn) {
      out << line << '\n';
      line.assign(kTextColumn, ' ');
      first = true;
    }
    line += (first ? "" : " ") + word;
  }
  out << line << '\n';
}

}  // namespace

void Options::print_help(std::ostream& out, bool everything) const {
  out << program_ << ": " << summary_ << "\n\nusage: " << program_ << " [flags]";
  for (const Setting& setting : settings_)
    if (setting.positional) out << ' ' << setting.names[0];
  out << '\n';
  // The program's own groups come first, the general one last.
  std::vector<std::string> groups;
  for (auto setting = settings_.rbegin(); setting != settings_.rend(); ++setting) {
    const auto known = std::find(groups.begin(), groups.end(), setting->group);
    if (known == groups.end())
      groups.insert(setting->group == "General" ? groups.end() : groups.begin(), setting->group);
  }
  size_t hidden = 0;
  for (const std::string& group : groups) {
    bool titled = false;
    for (const Setting& setting : settings_) {
      if (setting.group != group) continue;
      if (!everything && !setting.about.usual && !setting.about.required) {
        ++hidden;
        continue;
      }
      if (!titled) out << '\n' << group << '\n';
      titled = true;
      print_wrapped(out, usage_of(setting), explanation_of(setting));
    }
  }
  if (hidden > 0) out << "\n--help-all shows " << hidden << " more flags.\n";
  if (!examples_.empty()) out << "\nExamples\n";
  for (const auto& [command, what] : examples_)
    out << "  " << command << "\n      " << what << '\n';
  out << "\nExit codes\n";
  for (const ExitCode& code : kExitCodes)
    out << "  " << code.code << (code.code < 10 ? "    " : "  ") << code.meaning << '\n';
}

std::string Options::to_toml(bool everything) const {
  std::string out = "# " + program_ + " " + STAIR_VERSION + "\n", group;
  for (const Setting& setting : settings_) {
    const bool own = std::find(own_.begin(), own_.end(), &setting) != own_.end();
    if (own || (!setting.about.saved && !everything)) continue;
    if (setting.group != group) out += "\n# " + setting.group + "\n";
    group = setting.group;
    const std::string value = setting.toml();
    const std::string origin = setting.origin.empty() ? "default" : setting.origin;
    if (value.empty())
      out += "# " + setting.key + " is not set\n";
    else
      out += setting.key + " = " + value + "  # " + printable(origin, 500) + "\n";
  }
  return out;
}

}  // namespace stair::apps
