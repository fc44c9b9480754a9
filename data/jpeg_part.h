// Parts of JPEG pictures by libjpeg-turbo.
#pragma once

#include <cstdint>
#include <span>

#include "data/decode.h"

namespace stair::data {

// decode_part of a JPEG file. Whatever is out of the ordinary (several scans, CMYK, damage) is
// decoded whole, by decode_jpeg.
Part decode_jpeg_part(std::span<const uint8_t> bytes, const ChooseCrop& choose,
                      const DecodeOptions& options);

}  // namespace stair::data
