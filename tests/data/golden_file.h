// Arrays written by tests/golden/data/make_golden.py, and files of the same form elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "data/image.h"

namespace stair::data {

// A safetensors file.
class GoldenFile {
 public:
  // Throws Error when the file cannot be read.
  explicit GoldenFile(const std::string& path);

  std::vector<std::string> names() const;
  std::vector<int64_t> shape(const std::string& name) const;
  template <class T>
  std::vector<T> values(const std::string& name) const {
    const std::vector<uint8_t> raw = bytes(name);
    std::vector<T> result(raw.size() / sizeof(T));
    std::copy(raw.begin(), raw.end(), reinterpret_cast<uint8_t*>(result.data()));
    return result;
  }
  std::vector<uint8_t> bytes(const std::string& name) const;

 private:
  std::string content_;
  size_t data_ = 0;
  Json header_;
};

// tests/golden/data/images.safetensors.
const GoldenFile& golden_images();

// The picture that make_golden.py's noise() draws.
Image noise_image(int width, int height);

// Whether a picture is H x W x 3 `expected`; the message names the first difference.
std::string difference(const Image& image, const std::vector<uint8_t>& expected);

// The numbers of a name such as "resize.37,23,16,10".
std::vector<double> numbers_of(const std::string& name);

}  // namespace stair::data
