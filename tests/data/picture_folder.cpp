#include "tests/data/picture_folder.h"

#include <turbojpeg.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/error.h"

namespace stair::data {

Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

Image wave_image(int width, int height, int kind) {
  Image image(width, height);
  uint8_t* out = image.data();
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        *out++ = static_cast<uint8_t>(127.5 + 120 * std::sin(0.3 * x + c + kind) *
                                                  std::cos(0.2 * y - 1.7 * kind));
  return image;
}

Bytes jpeg_of(const Image& image, int sampling) {
  const tjhandle jpeg = tjInitCompress();
  unsigned char* coded = nullptr;
  unsigned long size = 0;
  tjCompress2(jpeg, image.data(), image.width(), 0, image.height(), TJPF_RGB, &coded, &size,
              sampling, 90, 0);
  Bytes bytes(coded, coded + size);
  tjFree(coded);
  tjDestroy(jpeg);
  return bytes;
}

Bytes jpeg_of(const Image& image) {
  return jpeg_of(image, TJSAMP_420);
}

Bytes coded_as(const Image& image, const std::string& suffix) {
  const cv::Mat rgb(image.height(), image.width(), CV_8UC3, const_cast<uint8_t*>(image.data()));
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  Bytes bytes;
  cv::imencode(suffix, bgr, bytes);
  return bytes;
}

PictureFolder::PictureFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "stair-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw Error("no temporary folder");
  path_ = pattern;
}

PictureFolder::~PictureFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void PictureFolder::write(const std::string& name, const Bytes& bytes) const {
  const std::filesystem::path file = path(name);
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

void PictureFolder::make_folder(const std::string& name) const {
  std::filesystem::create_directories(path(name));
}

void PictureFolder::add_pictures(const std::string& folder, int count, int width,
                                 int height) const {
  for (int i = 0; i < count; ++i) {
    const int kind = static_cast<int>(std::hash<std::string>{}(folder) % 1000) + i;
    write(str(folder, "/", i / 100, i / 10 % 10, i % 10, ".jpg"),
          jpeg_of(wave_image(width, height, kind)));
  }
}

}  // namespace stair::data
