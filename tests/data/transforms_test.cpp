#include "data/transforms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "data/decode.h"
#include "data/resize.h"
#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

TransformOptions centre(int resize, int size) {
  TransformOptions options;
  options.resize_center_crop = {resize, size};
  return options;
}

Image applied(const TransformOptions& options, const Image& image, uint64_t seed = 0) {
  const Transform transform(options);
  Random random(seed);
  Image out(transform.size(), transform.size());
  transform.apply(image.view(), random, out.data());
  return out;
}

Bytes bytes_of(const Image& image) {
  return {image.data(), image.data() + image.bytes()};
}

}  // namespace

TEST(TransformsGolden, ResizeAndCenterCropEqualTorchvision) {
  int cases = 0;
  for (const std::string& name : golden_images().names()) {
    if (!name.starts_with("centre.")) continue;
    ++cases;
    const std::vector<double> n = numbers_of(name);
    const Image image = noise_image(static_cast<int>(n[0]), static_cast<int>(n[1]));
    const TransformOptions options = centre(static_cast<int>(n[2]), static_cast<int>(n[3]));
    EXPECT_EQ(difference(applied(options, image), golden_images().bytes(name)), "") << name;
  }
  EXPECT_EQ(cases, 7);
}

TEST(TransformsGolden, EveryByteNormalizesToTorchsFloat) {
  TransformOptions options = centre(0, 256);
  options.normalize = Normalize();
  const Tensor values = Transform(options).values();
  const std::vector<float> expected = golden_images().values<float>("normalize");
  for (size_t i = 0; i < 3 * 256; ++i) EXPECT_EQ(values.data<float>()[i], expected[i]) << i;
}

TEST(RandomResizedCrop, AreasAndRatiosSpanTheRangesEvenly) {
  const RandomResizedCrop crop;
  Random random(5);
  double areas = 0, logs = 0;
  int narrow = 0, small = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const Crop c = crop.sample(4000, 4000, random);
    ASSERT_TRUE(c.x >= 0 && c.y >= 0 && c.x + c.width <= 4000 && c.y + c.height <= 4000);
    const double area = static_cast<double>(c.width) * c.height / 16e6,
                 ratio = static_cast<double>(c.width) / c.height;
    ASSERT_TRUE(area > 0.0799 && area <= 1.0);
    ASSERT_TRUE(ratio > 0.749 && ratio < 1.335);
    areas += area;
    logs += std::log(ratio);
    narrow += ratio < 1;
    small += area < 0.31;
  }
  // Means of 100,000 draws by torchvision's rule: the largest areas rarely fit, since their shapes
  // do not.
  EXPECT_NEAR(areas / kDraws, 0.4777, 0.015);
  EXPECT_NEAR(logs / kDraws, 0.0, 0.02);
  EXPECT_NEAR(narrow, kDraws / 2, 130);
  EXPECT_NEAR(small, kDraws * 0.2905, 120);
}

TEST(RandomResizedCrop, StripsFallBackToTheCentreOfAnAllowedShape) {
  const RandomResizedCrop crop;
  Random random(1);
  EXPECT_EQ(crop.sample(1, 5000, random), (Crop{0, 2499, 1, 1}));
  EXPECT_EQ(crop.sample(5000, 1, random), (Crop{2499, 0, 1, 1}));
  EXPECT_EQ(crop.sample(30, 5000, random), (Crop{0, 2480, 30, 40}));
  EXPECT_EQ(crop.sample(5000, 30, random), (Crop{2480, 0, 40, 30}));
  EXPECT_EQ(crop.sample(1, 1, random), (Crop{0, 0, 1, 1}));
}

TEST(RandomResizedCrop, OutputIsTheCropResized) {
  TransformOptions options;
  options.crop = CropKind::random_resized_crop;
  options.random_resized_crop.size = 12;
  const Image image = noise_image(64, 48);
  Random random(77);
  const Crop c = options.random_resized_crop.sample(64, 48, random);
  const Image expected = resize(image.view().crop(c.x, c.y, c.width, c.height), 12, 12);
  EXPECT_EQ(difference(applied(options, image, 77), bytes_of(expected)), "");
}

TEST(RandomCrop, EveryPlaceIsDrawnAndThePaddingIsBlack) {
  TransformOptions options;
  options.crop = CropKind::random_crop;
  options.random_crop = {8, 2};
  Image image(8, 8);
  for (int i = 0; i < 64; ++i)
    for (int c = 0; c < 3; ++c) image.data()[3 * i + c] = static_cast<uint8_t>(i + 1);
  std::vector<int> seen(25);
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    const Crop crop = options.random_crop.sample(8, 8, random);
    ++seen[static_cast<size_t>((crop.y + 2) * 5 + crop.x + 2)];
    const Image out = applied(options, image, seed);
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 8; ++x) {
        const int sx = x + crop.x, sy = y + crop.y;
        const int expected = sx < 0 || sy < 0 || sx > 7 || sy > 7 ? 0 : sy * 8 + sx + 1;
        ASSERT_EQ(out.data()[3 * (y * 8 + x)], expected) << seed;
      }
    }
  }
  for (const int count : seen) EXPECT_GT(count, 5);
}

TEST(RandomHorizontalFlip, MirrorsHalfOfThePicturesWhole) {
  TransformOptions options = centre(0, 9);
  options.hflip = 0.5F;
  const Image image = noise_image(9, 9);
  const Bytes kept = bytes_of(image);
  Bytes mirrored = kept;
  for (int y = 0; y < 9; ++y)
    for (int x = 0; x < 9; ++x)
      for (int c = 0; c < 3; ++c)
        mirrored[static_cast<size_t>(3 * (9 * y + x) + c)] =
            kept[static_cast<size_t>(3 * (9 * y + 8 - x) + c)];
  int flips = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Bytes out = bytes_of(applied(options, image, seed));
    ASSERT_TRUE(out == kept || out == mirrored);
    flips += out == mirrored;
  }
  EXPECT_NEAR(flips, 100, 30);
  options.hflip = 1.0F;
  EXPECT_EQ(bytes_of(applied(options, image)), mirrored);
}

TEST(Transforms, ExtremePicturesGoThroughTrainingAndEvaluation) {
  TransformOptions training;
  training.crop = CropKind::random_resized_crop;
  training.random_resized_crop.size = 32;
  for (const auto& [width, height] : {std::pair(1, 1), std::pair(1, 5000), std::pair(5000, 1)}) {
    const Image image = noise_image(width, height);
    EXPECT_EQ(applied(training, image).width(), 32);
    EXPECT_EQ(applied(centre(256, 224), image).width(), 224);
  }
}

TEST(Transforms, RandomNumbersBelongToSeedEpochAndSample) {
  Random a = augmentation_random(1, 2, 3), b = augmentation_random(1, 2, 3);
  EXPECT_EQ(a.bits(), b.bits());
  std::set<uint32_t> firsts;
  for (uint64_t seed = 0; seed < 3; ++seed)
    for (int64_t epoch = 0; epoch < 3; ++epoch)
      for (int64_t index = 0; index < 3; ++index)
        firsts.insert(augmentation_random(seed, epoch, index).bits());
  EXPECT_EQ(firsts.size(), 27U);
}

TEST(TransformsFault, OptionsOutOfRangeAreNamed) {
  const auto refused = [](auto change) {
    TransformOptions options;
    change(options);
    return error_of<ConfigError>([&] { Transform{options}; });
  };
  EXPECT_EQ(refused([](auto& o) { o.resize_center_crop.size = 0; }),
            "transform: crop size 0, expected 1 to 16384 | ");
  EXPECT_NE(refused([](auto& o) { o.resize_center_crop.resize = -1; }), "");
  EXPECT_NE(refused([](auto& o) { o.random_crop.padding = -1; }), "");
  EXPECT_NE(refused([](auto& o) { o.random_resized_crop.scale = {0.5, 0.2}; }), "");
  EXPECT_NE(refused([](auto& o) { o.random_resized_crop.scale = {0, 1}; }), "");
  EXPECT_NE(refused([](auto& o) { o.random_resized_crop.ratio = {2, 1}; }), "");
  EXPECT_NE(refused([](auto& o) { o.hflip = 1.5F; }), "");
  EXPECT_NE(refused([](auto& o) { o.hflip = NAN; }), "");
  EXPECT_NE(refused([](auto& o) { o.normalize.std[1] = 0; }), "");
}

TEST(TransformsFault, PictureSmallerThanARandomCropIsABadSample) {
  TransformOptions options;
  options.crop = CropKind::random_crop;
  EXPECT_THROW(applied(options, noise_image(23, 40)), BadSample);
  EXPECT_EQ(applied(options, noise_image(24, 40)).width(), 32);
}

}  // namespace stair::data
