// PNG, BMP, WebP and binary PNM by OpenCV.
#pragma once

#include <cstdint>
#include <span>

#include "data/decode.h"

namespace stair::data {

Image decode_raster(std::span<const uint8_t> bytes, ImageFormat format,
                    const DecodeOptions& options);

}  // namespace stair::data
