// Numbers as people read them, and records as programs read them.
#pragma once

#include <cstdint>
#include <string>

#include "core/json.h"

namespace stair::apps {

// "512 B", "1.50 KiB", "44.6 MiB".
std::string human_bytes(uint64_t bytes);
// "8.4 s" below a minute, then "14:02", "1:02:03", "3 d 02:00:00". Not finite or negative: "?".
std::string human_duration(double seconds);
// "950", "11.7 M", "1.82 G".
std::string human_count(double count);
// `value` with `digits` after the point; "nan" and "inf" as such.
std::string fixed(double value, int digits);

// A number for a record: null where JSON has none (NaN, infinity).
Json json_number(double value);

}  // namespace stair::apps
