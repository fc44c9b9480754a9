// Pictures from files: the content, not the suffix, decides the decoder.
//
// Pixels equal Pillow's `Image.open(f).convert("RGB")`, which published weights were trained on:
// JPEG by the accurate integer inverse transform with smooth chroma upsampling, EXIF orientation
// ignored, transparency dropped, CMYK by Adobe's inverted convention. Two differences: of 16-bit
// PNG files the high byte is kept (Pillow clips to 255), and damaged JPEG data is reported by
// Image::damaged.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"
#include "data/image.h"

namespace stair::data {

// A picture that cannot be used. The message is the reason, preceded by the file's name where there
// is a file.
struct BadSample : DataError {
  using DataError::DataError;
};

struct DecodeOptions {
  int64_t max_pixels = 100'000'000;       // checked against the header, before any buffer is made
  int64_t max_bytes = int64_t{64} << 20;  // of the file, checked before it is read
  bool strict = false;                    // refuse damaged JPEG data rather than passing over it
};

// Formats that are told apart. Those after `pnm` are recognised and refused.
enum class ImageFormat { jpeg, png, bmp, webp, pnm, gif, tiff, heif, unknown };

// The format that the first bytes announce.
ImageFormat sniff(std::span<const uint8_t> bytes);

// Throws BadSample: "empty file", "not an image (starts with ...)", "truncated", "size missing",
// "400000000 pixels, ...".
Image decode(std::span<const uint8_t> bytes, const DecodeOptions& options = {});

// decode(), but only as much as is wanted where that saves time: the image holds at least the part
// of the picture that lies inside `choose(width, height)`, with the same pixels. Of baseline JPEG
// files the blocks beside that part are not transformed and the rows below it not even read, so
// damage there goes unnoticed unless `options.strict`.
Part decode_part(std::span<const uint8_t> bytes, const ChooseCrop& choose,
                 const DecodeOptions& options = {});

// Reads and decodes a file. Throws BadSample, with the system's error text when the file cannot be
// read.
Image decode_file(const std::string& path, const DecodeOptions& options = {});
Part decode_file_part(const std::string& path, const ChooseCrop& choose,
                      const DecodeOptions& options = {});

}  // namespace stair::data
