#include "apps/program/numbers.h"

#include <charconv>
#include <cmath>

#include "core/error.h"

namespace stair::apps {
namespace {

Problem not_expected(const std::string& expected) {
  return {"expected " + expected, ""};
}

}  // namespace

std::string describe(const IntegerRange& range) {
  const std::string note = range.note.empty() ? "" : " (" + range.note + ")";
  if (range.max == std::numeric_limits<int64_t>::max())
    return str("an integer of at least ", range.min, note);
  return str("an integer from ", range.min, " to ", range.max, note);
}

std::string describe(const RealRange& range) {
  const bool bounded = std::isfinite(range.max);
  if (!std::isfinite(range.min)) return bounded ? str("a number up to ", range.max) : "a number";
  if (range.above_min)
    return str("a number above ", range.min, bounded ? str(" and up to ", range.max) : "");
  if (!bounded) return str("a number of at least ", range.min);
  return str("a number from ", range.min, " to ", range.max);
}

Problem read_integer(const std::string& text, const IntegerRange& range, int64_t& value) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end || number < range.min || number > range.max)
    return not_expected(describe(range));
  value = number;
  return {};
}

Problem read_real(const std::string& text, const RealRange& range, double& value) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range && stop == end)
    return {"a double cannot hold this number, expected " + describe(range), ""};
  if (error != std::errc() || stop != end || !std::isfinite(number) || number < range.min ||
      number > range.max || (range.above_min && number == range.min))
    return not_expected(describe(range));
  value = number;
  return {};
}

std::string toml_real(double value) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  std::string text(digits, end);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

std::string toml_text(const std::string& value) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace stair::apps
