// Strict numbers: what a flag may say, and how a value is written back as TOML.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "apps/program/settings.h"

namespace stair::apps {

struct IntegerRange {
  int64_t min = 0;
  int64_t max = std::numeric_limits<int32_t>::max();
  std::string note = {};  // why these bounds: "4 x cores"
};

struct RealRange {
  double min = 0;
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is not allowed
};

// "an integer from 0 to 8 (4 x cores)", "a number above 0".
std::string describe(const IntegerRange& range);
std::string describe(const RealRange& range);

// Decimal digits with an optional minus, within the range: no blank, no hexadecimal, no fraction.
Problem read_integer(const std::string& text, const IntegerRange& range, int64_t& value);
// A finite decimal number within the range. Neither nan nor inf, nor what a double cannot hold
// (1e999).
Problem read_real(const std::string& text, const RealRange& range, double& value);

// The fewest digits that read back to the same value, always with a point or an exponent.
std::string toml_real(double value);
// A basic string in quotes; what is no printable ASCII or UTF-8 is escaped.
std::string toml_text(const std::string& value);

}  // namespace stair::apps
