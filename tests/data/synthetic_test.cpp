#include "data/synthetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "data/shapes.h"
#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

Bytes bytes_of(const Image& image) {
  return {image.data(), image.data() + image.bytes()};
}

// Part of the square [-1, 1]^2 that a shape covers.
double area(Shape2d shape) {
  int hits = 0;
  constexpr int kSide = 200;
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x)
      hits +=
          inside(shape, static_cast<float>(x) / 100 - 0.995F, static_cast<float>(y) / 100 - 0.995F);
  return static_cast<double>(hits) / (kSide * kSide);
}

}  // namespace

TEST(Synthetic, PicturesDependOnSeedSplitAndIndexAlone) {
  const SyntheticDataset a({.size = 100}), b({.size = 1000});
  std::set<Bytes> all;
  for (int64_t i = 0; i < 100; ++i) {
    all.insert(bytes_of(a.load(i)));
    EXPECT_EQ(difference(b.load(i), bytes_of(a.load(i))), "");
  }
  EXPECT_EQ(all.size(), 100U);
  EXPECT_NE(bytes_of(SyntheticDataset({.seed = 1}).load(0)), bytes_of(a.load(0)));
  EXPECT_NE(bytes_of(SyntheticDataset({.split = "val"}).load(0)), bytes_of(a.load(0)));
}

TEST(Synthetic, ClassesTakeTurnsAndHaveNames) {
  const SyntheticDataset dataset({.size = 25, .num_classes = 4});
  EXPECT_EQ(dataset.class_names(),
            (std::vector<std::string>{"circle", "square", "triangle", "star"}));
  EXPECT_EQ(dataset.label(5), 1);
  EXPECT_EQ(dataset.name(5), "synthetic train 5 (square)");
}

TEST(Synthetic, AnySizeIsDrawn) {
  for (const int side : {8, 33, 224})
    EXPECT_EQ(SyntheticDataset({.image_size = side}).load(3).height(), side);
}

TEST(Synthetic, MeanColourDoesNotTellTheClass) {
  const SyntheticDataset dataset({.size = 3000, .image_size = 16});
  std::vector<double> means(10);
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Image image = dataset.load(i);
    double sum = 0;
    for (size_t b = 0; b < image.bytes(); ++b) sum += image.data()[b];
    means[static_cast<size_t>(dataset.label(i))] += sum / static_cast<double>(image.bytes()) / 300;
  }
  for (const double mean : means) EXPECT_NEAR(mean, means[0], 12);
}

TEST(Shapes, EachCoversAPartOfItsCircleAndNoTwoAreAlike) {
  for (int a = 0; a < kShapes; ++a) {
    EXPECT_GT(area(static_cast<Shape2d>(a)), 0.2) << name(static_cast<Shape2d>(a));
    EXPECT_LT(area(static_cast<Shape2d>(a)), 0.65) << name(static_cast<Shape2d>(a));
    for (int b = 0; b < a; ++b) {
      int differ = 0;
      for (int y = -20; y <= 20; ++y)
        for (int x = -20; x <= 20; ++x)
          differ += inside(static_cast<Shape2d>(a), 0.05F * x, 0.05F * y) !=
                    inside(static_cast<Shape2d>(b), 0.05F * x, 0.05F * y);
      EXPECT_GT(differ, 100) << name(static_cast<Shape2d>(a)) << " "
                             << name(static_cast<Shape2d>(b));
    }
  }
}

TEST(SyntheticFault, OptionsOutOfRangeAreNamed) {
  EXPECT_EQ(error_of<ConfigError>([] { SyntheticDataset({.num_classes = 11}); }),
            "synthetic pictures: classes 11, expected 2 to 10 | ");
  EXPECT_THROW(SyntheticDataset({.size = 0}), ConfigError);
  EXPECT_THROW(SyntheticDataset({.image_size = 7}), ConfigError);
}

}  // namespace stair::data
