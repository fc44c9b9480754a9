#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <cstring>

#include "core/random.h"
#include "data/dataset.h"
#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"
#include "tests/support/real_files.h"

namespace stair::data {
namespace {

// Where the pixels of a part differ from those of the whole picture; pixels outside are nobody's.
std::string difference(const Part& part, const Image& whole, const Crop& asked) {
  for (int y = 0; y < asked.height; ++y)
    for (int x = 0; x < asked.width; ++x) {
      const int wx = asked.x + x, wy = asked.y + y;
      if (wx < 0 || wy < 0 || wx >= whole.width() || wy >= whole.height()) continue;
      const int px = part.crop.x + x, py = part.crop.y + y;
      if (px < 0 || py < 0 || px >= part.image.width() || py >= part.image.height())
        return str("pixel ", wx, ",", wy, " is missing");
      if (std::memcmp(part.image.view().row(py) + 3 * px, whole.view().row(wy) + 3 * wx, 3) != 0)
        return str("pixel ", wx, ",", wy, " differs");
    }
  return "";
}

Part part_of(const Bytes& coded, const Crop& crop, const DecodeOptions& options = {}) {
  int calls = 0;
  const auto choose = [&](int, int) {
    ++calls;
    return crop;
  };
  Part part = decode_part(coded, choose, options);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(part.crop.width, crop.width);
  EXPECT_EQ(part.crop.height, crop.height);
  return part;
}

Crop random_crop(int width, int height, Random& random) {
  const auto below = [&](int n) {
    return static_cast<int>(random.below(static_cast<uint64_t>(n)));
  };
  const int w = 1 + below(width), h = 1 + below(height);
  return {below(width - w + 1), below(height - h + 1), w, h};
}

Image noise(int width, int height, uint64_t seed) {
  Image image(width, height);
  Random random(seed);
  for (size_t i = 0; i < image.bytes(); ++i)
    image.data()[i] = static_cast<uint8_t>(random.below(256));
  return image;
}

}  // namespace

TEST(DecodePart, EveryPixelIsThatOfTheWholePicture) {
  Random random(1);
  for (const int sampling :
       {TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411, TJSAMP_GRAY})
    for (const auto& [width, height] :
         {std::pair(150, 130), std::pair(97, 64), std::pair(33, 17), std::pair(5, 3)}) {
      const Bytes coded = jpeg_of(noise(width, height, random.below(1000)), sampling);
      const Image whole = decode(coded);
      for (int i = 0; i < 40; ++i) {
        const Crop crop = random_crop(width, height, random);
        ASSERT_EQ(difference(part_of(coded, crop), whole, crop), "")
            << "sampling " << sampling << ", " << width << "x" << height << ", crop " << crop.x
            << "," << crop.y << " " << crop.width << "x" << crop.height;
      }
    }
}

TEST(DecodePart, PhotographsToo) {
  const std::string folder = support::real_pictures("imagenet-500");
  if (folder.empty()) GTEST_SKIP() << "needs imagenet-500 in STAIR_IMAGES";
  const FolderDataset dataset(folder + "/val");
  Random random(2);
  for (int64_t i = 0; i < dataset.size(); i += 10) {
    const Image whole = dataset.load(i);
    Crop crop{};
    const Part part = dataset.load_part(
        i, [&](int width, int height) { return crop = random_crop(width, height, random); });
    ASSERT_EQ(difference(part, whole, crop), "") << dataset.name(i);
  }
}

TEST(DecodePart, OnlyThePieceIsHeld) {
  const Part part = part_of(jpeg_of(noise(400, 300, 3), TJSAMP_444), {200, 150, 50, 40});
  EXPECT_LT(part.image.width(), 100);
  EXPECT_EQ(part.image.height(), 40);
}

TEST(DecodePart, PartsThatReachOutsideAreCutAtThePicture) {
  const Bytes coded = jpeg_of(noise(60, 50, 4), TJSAMP_420);
  const Image whole = decode(coded);
  for (const Crop& crop :
       {Crop{-4, -4, 32, 32}, Crop{40, 30, 32, 32}, Crop{-4, -4, 80, 80}, Crop{70, 10, 8, 8}})
    EXPECT_EQ(difference(part_of(coded, crop), whole, crop), "") << crop.x;
}

TEST(DecodePart, OtherFormsAreDecodedWhole) {
  for (const char* name : {"jpeg_progressive", "jpeg_cmyk", "png_rgba", "bmp", "webp"}) {
    const Bytes coded = golden_images().bytes(std::string(name) + ".file");
    const Image whole = decode(coded);
    const Crop crop{1, 2, 3, 4};
    const Part part = part_of(coded, crop);
    EXPECT_EQ(part.crop, crop) << name;
    EXPECT_EQ(difference(part, whole, crop), "") << name;
  }
}

TEST(DecodePartFault, DamageIsReportedWhereItWasSeen) {
  Bytes coded = jpeg_of(noise(200, 200, 5), TJSAMP_444);
  for (size_t i = coded.size() / 2; i < coded.size() / 2 + 40; ++i) coded[i] = 0xFF;
  const Part below = part_of(coded, {0, 190, 10, 10});
  EXPECT_TRUE(below.image.damaged());
  const Part above = part_of(coded, {0, 0, 10, 10});
  EXPECT_FALSE(above.image.damaged());
  DecodeOptions strict;
  strict.strict = true;
  const auto top = [](int, int) { return Crop{0, 0, 10, 10}; };
  EXPECT_THROW((void)decode_part(coded, top, strict), BadSample);
}

TEST(DecodePartFault, FilesThatEndEarlyAndHugeOnesAreRefusedAsWholeOnesAre) {
  Bytes coded = jpeg_of(noise(100, 100, 6), TJSAMP_420);
  const auto top = [](int, int) { return Crop{0, 0, 10, 10}; };
  DecodeOptions small;
  small.max_pixels = 100;
  EXPECT_EQ(error_of<BadSample>([&] { (void)decode_part(coded, top, small); }),
            error_of<BadSample>([&] { (void)decode(coded, small); }));
  coded.resize(coded.size() * 2 / 3);
  EXPECT_EQ(error_of<BadSample>([&] { (void)decode_part(coded, top); }), "truncated | ");
  coded.resize(12);
  EXPECT_EQ(error_of<BadSample>([&] { (void)decode_part(coded, top); }),
            error_of<BadSample>([&] { (void)decode(coded); }));
}

}  // namespace stair::data
