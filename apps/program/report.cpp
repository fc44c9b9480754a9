#include "apps/program/report.h"

#include <cmath>
#include <cstdio>
#include <span>

#include "core/error.h"

namespace stair::apps {
namespace {

// Three digits and a unit; `base` is the step from one unit to the next.
std::string scaled(double value, double base, std::span<const char* const> units) {
  size_t unit = 0;
  // 999.5 would be written as 1000 with three digits.
  while (value >= (base == 1000 ? 999.5 : base) && unit + 1 < units.size()) {
    value /= base;
    ++unit;
  }
  if (unit == 0) return fixed(value, 0) + units[0];
  return fixed(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0) + units[unit];
}

std::string two_digits(int64_t value) {
  return str(value < 10 ? "0" : "", value);
}

}  // namespace

std::string fixed(double value, int digits) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[400];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string human_bytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  return scaled(static_cast<double>(bytes), 1024, kUnits);
}

std::string human_count(double count) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T"};
  return scaled(count, 1000, kUnits);
}

std::string human_duration(double seconds) {
  constexpr double kLongest = 1e12;
  if (!std::isfinite(seconds) || seconds < 0 || seconds > kLongest) return "?";
  if (seconds < 59.95) return fixed(seconds, 1) + " s";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  const std::string minutes_seconds = str(two_digits(minutes), ":", two_digits(whole % 60));
  if (days > 0) return str(days, " d ", two_digits(hours), ":", minutes_seconds);
  if (hours > 0) return str(hours, ":", minutes_seconds);
  return str(minutes, ":", two_digits(whole % 60));
}

Json json_number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace stair::apps
