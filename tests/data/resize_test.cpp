#include "data/resize.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/cpu.h"
#include "core/error.h"
#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

Bytes bytes_of(const Image& image) {
  return {image.data(), image.data() + image.bytes()};
}

// The case "resize.W,H,w,h" or "resize.W,H,w,h,left,top,right,bottom".
Image resized_as(const std::string& name) {
  const std::vector<double> n = numbers_of(name);
  const auto size = [&](size_t i) { return static_cast<int>(n[i]); };
  const auto edge = [&](size_t i) { return static_cast<float>(n[i]); };
  const Image image = noise_image(size(0), size(1));
  if (n.size() == 4) return resize(image.view(), size(2), size(3));
  return resize(image.view(), size(2), size(3), {edge(4), edge(5), edge(6), edge(7)});
}

}  // namespace

TEST(ResizeGolden, EveryByteEqualsPillowOnEveryInstructionSet) {
  for (const Isa isa : available_isas()) {
    const IsaScope scope(isa);
    int cases = 0;
    for (const std::string& name : golden_images().names()) {
      if (!name.starts_with("resize.")) continue;
      ++cases;
      EXPECT_EQ(difference(resized_as(name), golden_images().bytes(name)), "")
          << name << " " << isa;
    }
    EXPECT_EQ(cases, 13);
  }
}

TEST(ResizeExact, WindowEqualsThatPartOfTheWhole) {
  const Image image = noise_image(83, 61);
  for (const auto& [width, height] :
       {std::pair(40, 30), std::pair(120, 90), std::pair(83, 20), std::pair(20, 61)}) {
    const Image whole = resize(image.view(), width, height);
    const ResizeOptions window{width, height, 7, 5, width - 11, height - 9};
    Image part(window.window_width, window.window_height);
    resize_into(image.view(), window, part.data(), ptrdiff_t{3} * part.width());
    for (int y = 0; y < part.height(); ++y)
      EXPECT_EQ(
          std::memcmp(part.view().row(y), whole.view().row(y + 5) + 21, size_t{3} * part.width()),
          0)
          << width << "x" << height << " row " << y;
  }
}

TEST(ResizeExact, CropSeesNothingBesideIt) {
  const Image image = noise_image(50, 40);
  Image copy(20, 15);
  for (int y = 0; y < 15; ++y)
    std::memcpy(copy.data() + 60 * y, image.view().row(9 + y) + 3 * 11, 60);
  EXPECT_EQ(difference(resize(image.view().crop(11, 9, 20, 15), 13, 8),
                       bytes_of(resize(copy.view(), 13, 8))),
            "");
}

TEST(Resize, ConstantPictureStaysConstant) {
  Image image(31, 17);
  std::memset(image.data(), 255, image.bytes());
  for (const int side : {1, 5, 16, 100, 301}) {
    const Image resized = resize(image.view(), side, side);
    for (size_t i = 0; i < resized.bytes(); ++i) ASSERT_EQ(resized.data()[i], 255) << side;
  }
}

TEST(Resize, LongStripsKeepTheirEnds) {
  const Image strip = noise_image(5000, 1);
  const Image resized = resize(strip.view(), 2, 3);
  EXPECT_EQ(resized.width(), 2);
  EXPECT_NEAR(resized.data()[0], 127, 20);
}

TEST(ResizeFault, SizesAndBoxesOutOfRangeAreNamed) {
  const Image image = noise_image(10, 8);
  EXPECT_EQ(error_of<ShapeError>([&] { resize(image.view(), 0, 5); }),
            "resize: sizes must be positive; got 10x8 to 0x5 | ");
  EXPECT_THROW(resize(Image().view(), 1, 1), ShapeError);
  EXPECT_NE(error_of<ShapeError>([&] {
              resize(image.view(), 5, 5, {0, 0, 11, 8});
            }).find("not inside 10x8"),
            std::string::npos);
  EXPECT_THROW(resize(image.view(), 5, 5, {3, 3, 3, 8}), ShapeError);
  EXPECT_THROW(resize(image.view(), 5, 5, {-1, 0, 5, 8}), ShapeError);
  std::vector<uint8_t> out(300);
  EXPECT_THROW(resize_into(image.view(), {5, 5, 1, 0, 5, 5}, out.data(), 15), ShapeError);
}

}  // namespace stair::data
