// JPEG by libjpeg-turbo.
#pragma once

#include <cstdint>
#include <span>

#include "data/decode.h"

namespace stair::data {

Image decode_jpeg(std::span<const uint8_t> bytes, const DecodeOptions& options);

}  // namespace stair::data
