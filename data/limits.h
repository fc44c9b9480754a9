// The cap on the size of pictures.
#pragma once

#include <cstdint>

#include "data/decode.h"

namespace stair::data {

// Throws BadSample when a header's size is empty or beyond `options.max_pixels`.
inline void check_pixels(int64_t width, int64_t height, const DecodeOptions& options) {
  if (width <= 0 || height <= 0) throw BadSample("size missing");
  if (width > options.max_pixels / height)
    throw BadSample(str(width, "x", height, " pixels, more than the limit of ", options.max_pixels),
                    "--max-image-pixels raises the limit");
}

}  // namespace stair::data
