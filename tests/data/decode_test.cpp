#include "data/decode.h"

#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <opencv2/imgcodecs.hpp>
#include <thread>

#include "data/dataset.h"
#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"
#include "tests/support/real_files.h"

namespace stair::data {
namespace {

// Largest and mean distance of two arrays of bytes.
std::pair<int, double> distance(const Image& image, const Bytes& expected) {
  int largest = 0;
  double sum = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const int d = std::abs(int{image.data()[i]} - int{expected[i]});
    largest = std::max(largest, d);
    sum += d;
  }
  return {largest, sum / static_cast<double>(expected.size())};
}

}  // namespace

TEST(DecodeGolden, EveryFormatEqualsPillow) {
  for (const char* name :
       {"jpeg_420", "jpeg_422", "jpeg_444", "jpeg_411", "jpeg_progressive", "jpeg_grey",
        "jpeg_cmyk", "jpeg_rotated", "png_palette", "png_palette_alpha", "png_grey_alpha",
        "png_rgba", "png_bit", "bmp", "webp", "ppm"}) {
    const Image image = decode(golden_images().bytes(std::string(name) + ".file"));
    EXPECT_EQ(difference(image, golden_images().bytes(std::string(name) + ".pixels")), "") << name;
    EXPECT_FALSE(image.damaged()) << name;
  }
}

TEST(DecodeGolden, AdobesInvertedCmykIsWithinTwoLevelsOfPillow) {
  const Image image = decode(golden_images().bytes("jpeg_cmyk.file"));
  EXPECT_LE(distance(image, golden_images().bytes("jpeg_cmyk.pixels")).second, 2.0);
}

TEST(DecodeGolden, SumsOfCifarTestPicturesEqualThePeersSums) {
  const std::string folder = support::real_pictures("cifar10"),
                    sums_file =
                        support::shared_file("models/resnet20_cifar10_test_logits.safetensors");
  if (folder.empty() || sums_file.empty())
    GTEST_SKIP() << "needs cifar10 in STAIR_IMAGES and models/ in STAIR_SHARED";
  const GoldenFile peer(sums_file);
  const FolderDataset dataset(folder + "/test");
  const auto sums = peer.values<int32_t>("pixel_sum_per_image");
  const auto labels = peer.bytes("labels");
  ASSERT_EQ(dataset.size(), std::ssize(sums));
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Image image = dataset.load(i);
    int32_t sum = 0;
    for (size_t b = 0; b < image.bytes(); ++b) sum += image.data()[b];
    ASSERT_EQ(sum, sums[static_cast<size_t>(i)]) << dataset.name(i);
    ASSERT_EQ(dataset.label(i), labels[static_cast<size_t>(i)]) << dataset.name(i);
  }
}

TEST(Decode, FormatsAreToldApartByTheirFirstBytes) {
  EXPECT_EQ(sniff(golden_images().bytes("jpeg_420.file")), ImageFormat::jpeg);
  EXPECT_EQ(sniff(golden_images().bytes("png_rgba.file")), ImageFormat::png);
  EXPECT_EQ(sniff(golden_images().bytes("bmp.file")), ImageFormat::bmp);
  EXPECT_EQ(sniff(golden_images().bytes("webp.file")), ImageFormat::webp);
  EXPECT_EQ(sniff(golden_images().bytes("ppm.file")), ImageFormat::pnm);
  EXPECT_EQ(sniff(bytes_of("GIF89a...")), ImageFormat::gif);
  EXPECT_EQ(sniff(bytes_of(std::string_view("II*\0....", 8))), ImageFormat::tiff);
  EXPECT_EQ(sniff(bytes_of(std::string_view("\0\0\0\x1c"
                                            "ftypavif",
                                            12))),
            ImageFormat::heif);
  EXPECT_EQ(sniff(bytes_of("BMW is no bitmap")), ImageFormat::unknown);
  EXPECT_EQ(sniff(Bytes{}), ImageFormat::unknown);
}

TEST(Decode, ManyThreadsGiveTheSameBytes) {
  const Bytes coded = jpeg_of(wave_image(90, 70, 1));
  const Image expected = decode(coded);
  const Bytes bytes(expected.data(), expected.data() + expected.bytes());
  std::vector<std::string> differences(16);
  std::vector<std::thread> threads;
  for (std::string& found : differences)
    threads.emplace_back([&] {
      for (int i = 0; i < 60 && found.empty(); ++i) found = difference(decode(coded), bytes);
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& found : differences) EXPECT_EQ(found, "");
}

TEST(Decode, SixteenBitPngKeepsTheHighByte) {
  cv::Mat deep(2, 2, CV_16UC3, cv::Scalar(0x12FF, 0x80FE, 0xFE01));
  Bytes coded;
  cv::imencode(".png", deep, coded);
  EXPECT_EQ(difference(decode(coded),
                       {0xFE, 0x80, 0x12, 0xFE, 0x80, 0x12, 0xFE, 0x80, 0x12, 0xFE, 0x80, 0x12}),
            "");
}

TEST(Decode, BytesAfterTheEndMarkerAreNotCounted) {
  Bytes coded = jpeg_of(wave_image(40, 30, 2));
  const Image clean = decode(coded);
  const Bytes junk = bytes_of("trailing \xFF junk");
  coded.insert(coded.end(), junk.begin(), junk.end());
  const Image image = decode(coded);
  EXPECT_FALSE(image.damaged());
  EXPECT_EQ(difference(image, Bytes(clean.data(), clean.data() + clean.bytes())), "");
}

TEST(Decode, SmallestPicturesAreDecoded) {
  for (const auto& [width, height] : {std::pair(1, 1), std::pair(1, 700), std::pair(700, 1)}) {
    const Image image = decode(jpeg_of(wave_image(width, height, 0)));
    EXPECT_EQ(image.width(), width);
    EXPECT_EQ(image.height(), height);
  }
}

}  // namespace stair::data
