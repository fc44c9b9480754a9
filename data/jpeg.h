// JPEG by libjpeg-turbo.
#pragma once

#include <cstdint>
#include <span>

#include "data/decode.h"

namespace stair::data {

Image decode_jpeg(std::span<const uint8_t> bytes, const DecodeOptions& options);

// Whether an end marker follows the first scan header.
bool has_end_marker(std::span<const uint8_t> bytes);

}  // namespace stair::data
