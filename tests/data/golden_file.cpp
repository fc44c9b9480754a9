#include "tests/data/golden_file.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace stair::data {

GoldenFile::GoldenFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error("cannot read " + path);
  content_.assign(std::istreambuf_iterator<char>(file), {});
  uint64_t length = 0;
  std::memcpy(&length, content_.data(), sizeof(length));
  data_ = sizeof(length) + length;
  header_ = parse_json(std::string_view(content_).substr(sizeof(length), length), path);
}

std::vector<std::string> GoldenFile::names() const {
  std::vector<std::string> result;
  for (const auto& [name, entry] : header_.as_object()) result.push_back(name);
  return result;
}

std::vector<int64_t> GoldenFile::shape(const std::string& name) const {
  std::vector<int64_t> result;
  for (const Json& dimension : header_.at(name).at("shape").as_array())
    result.push_back(dimension.as_int());
  return result;
}

std::vector<uint8_t> GoldenFile::bytes(const std::string& name) const {
  const Json& offsets = header_.at(name).at("data_offsets");
  const auto begin = content_.begin() + static_cast<ptrdiff_t>(data_);
  return {begin + offsets.at(size_t{0}).as_int(), begin + offsets.at(size_t{1}).as_int()};
}

const GoldenFile& golden_images() {
  static const GoldenFile file(std::string(STAIR_SOURCE_DIR) +
                               "/tests/golden/data/images.safetensors");
  return file;
}

Image noise_image(int width, int height) {
  Image image(width, height);
  uint8_t* out = image.data();
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < 3; ++c)
        *out++ = static_cast<uint8_t>(((x * 73856093) ^ (y * 19349663) ^ (c * 83492791)) >> 7);
  return image;
}

std::string difference(const Image& image, const std::vector<uint8_t>& expected) {
  if (image.bytes() != expected.size())
    return str(image.width(), "x", image.height(), " pixels are not ", expected.size(), " bytes");
  for (size_t i = 0; i < expected.size(); ++i)
    if (image.data()[i] != expected[i])
      return str("byte ", i, " is ", int{image.data()[i]}, ", expected ", int{expected[i]});
  return "";
}

std::vector<double> numbers_of(const std::string& name) {
  std::istringstream in(name.substr(name.find('.') + 1));
  std::vector<double> numbers;
  for (std::string part; std::getline(in, part, ',');) numbers.push_back(std::stod(part));
  return numbers;
}

}  // namespace stair::data
