// Folders of small pictures, good and broken, made for one test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"

namespace stair::data {

using Bytes = std::vector<uint8_t>;

Bytes bytes_of(std::string_view text);
// A picture of waves; `kind` changes them.
Image wave_image(int width, int height, int kind);
// Quality 90. The sampling is TurboJPEG's: TJSAMP_420, TJSAMP_GRAY, ...
Bytes jpeg_of(const Image& image, int sampling);
Bytes jpeg_of(const Image& image);
// `suffix` names the format for OpenCV: ".png", ".bmp".
Bytes coded_as(const Image& image, const std::string& suffix);

// A folder below the temporary folder, gone with the object.
class PictureFolder {
 public:
  PictureFolder();
  ~PictureFolder();
  PictureFolder(const PictureFolder&) = delete;
  PictureFolder& operator=(const PictureFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file, making the folders that lead to it.
  void write(const std::string& name, const Bytes& bytes) const;
  void write(const std::string& name, std::string_view text) const { write(name, bytes_of(text)); }
  void make_folder(const std::string& name) const;
  // `count` JPEGs named 000.jpg ... in `folder`, all different.
  void add_pictures(const std::string& folder, int count, int width = 24, int height = 20) const;

 private:
  std::string path_;
};

// What an error says, with its hint after " | "; empty when nothing was thrown.
template <class E, class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what() + std::string(" | ") + error.hint();
  }
  return "";
}

}  // namespace stair::data
