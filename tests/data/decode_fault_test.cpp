// Rows I01 to I25 of the fault table: pictures that must be refused, or used in spite of a flaw.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "core/random.h"
#include "data/decode.h"
#include "tests/data/golden_file.h"
#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

std::string refusal(const Bytes& bytes, const DecodeOptions& options = {}) {
  return error_of<BadSample>([&] { decode(bytes, options); });
}

Bytes good_jpeg() {
  return jpeg_of(wave_image(120, 90, 3));
}

// Place of the entropy-coded data: after the header of the scan.
size_t scan_data(const Bytes& jpeg) {
  for (size_t i = 2; i + 3 < jpeg.size(); i += 2 + (size_t{jpeg[i + 2]} << 8 | jpeg[i + 3]))
    if (jpeg[i + 1] == 0xDA) return i + 2 + (size_t{jpeg[i + 2]} << 8 | jpeg[i + 3]);
  return 0;
}

// Sets the size in the frame header.
Bytes with_size(Bytes jpeg, int width, int height) {
  for (size_t i = 2; i + 8 < jpeg.size(); i += 2 + (size_t{jpeg[i + 2]} << 8 | jpeg[i + 3])) {
    if (jpeg[i + 1] != 0xC0) continue;
    jpeg[i + 5] = static_cast<uint8_t>(height >> 8);
    jpeg[i + 6] = static_cast<uint8_t>(height);
    jpeg[i + 7] = static_cast<uint8_t>(width >> 8);
    jpeg[i + 8] = static_cast<uint8_t>(width);
    return jpeg;
  }
  return {};
}

Bytes with_segment(const Bytes& jpeg, uint8_t marker, const Bytes& payload) {
  const size_t length = payload.size() + 2;
  Bytes segment = {0xFF, marker, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  segment.insert(segment.end(), payload.begin(), payload.end());
  Bytes out = jpeg;
  out.insert(out.begin() + 2, segment.begin(), segment.end());
  return out;
}

}  // namespace

TEST(DecodeFault, I01EmptyFileIsNamedSo) {
  EXPECT_EQ(refusal({}), "empty file | ");
  const PictureFolder folder;
  folder.write("a.jpg", "");
  EXPECT_EQ(error_of<BadSample>([&] { decode_file(folder.path("a.jpg")); }),
            str("'", folder.path("a.jpg"), "': empty file | "));
}

TEST(DecodeFault, I02TextIsShownWithItsFirstBytesMadeSafe) {
  EXPECT_EQ(refusal(bytes_of("<html>\x1B[31m</html>")),
            "not an image (starts with \"<html>\\x1b[31m</htm...(18 bytes)\") | ");
  EXPECT_NE(refusal(bytes_of("x")), "");
}

TEST(DecodeFault, I03CutJpegIsTruncatedAtEveryLength) {
  const Bytes whole = good_jpeg();
  for (size_t length = 3; length < whole.size(); length += length < 700 ? 1 : 41)
    EXPECT_NE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length))), "")
        << length;
  EXPECT_EQ(refusal(Bytes(whole.begin(), whole.begin() + std::ssize(whole) / 2)), "truncated | ");
}

TEST(DecodeFault, I03CutJpegWithDamageBeforeTheCutIsTruncated) {
  Bytes bytes = good_jpeg();
  const size_t begin = scan_data(bytes);
  bytes.resize(bytes.size() - 40);
  for (size_t i = begin + 100; i < begin + 140; ++i) bytes[i] = static_cast<uint8_t>(i * 37 % 251);
  EXPECT_EQ(refusal(bytes), "truncated | ");
}

TEST(DecodeFault, I03CutPngAndBitmapAreTruncated) {
  for (const char* suffix : {".png", ".bmp", ".webp"}) {
    const Bytes whole = coded_as(wave_image(50, 40, 1), suffix);
    EXPECT_NE(refusal(Bytes(whole.begin(), whole.begin() + std::ssize(whole) / 2)), "") << suffix;
  }
}

TEST(DecodeFault, I04MissingEndMarkerIsTruncated) {
  Bytes bytes = good_jpeg();
  bytes.resize(bytes.size() - 2);
  EXPECT_EQ(refusal(bytes), "truncated | ");
}

TEST(DecodeFault, I04EndMarkerOfAThumbnailDoesNotCount) {
  Bytes bytes = with_segment(good_jpeg(), 0xE1, {0xFF, 0xD8, 0xFF, 0xD9});
  EXPECT_EQ(refusal(bytes), "");
  bytes.resize(bytes.size() - 2);
  EXPECT_EQ(refusal(bytes), "truncated | ");
}

TEST(DecodeFault, NextPictureIsReadAfterEveryKindOfRefusal) {
  const Bytes whole = good_jpeg();
  for (size_t length = 3; length < whole.size(); length += 17) {
    EXPECT_NE(refusal(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length))), "");
    ASSERT_EQ(refusal(whole), "") << length;
  }
}

TEST(DecodeFault, I05DamagedDataIsUsedAndReportedUnlessStrict) {
  Bytes bytes = jpeg_of(noise_image(200, 160));
  const size_t begin = scan_data(bytes) + 500;
  Random random(7);
  for (size_t i = begin; i < begin + 200; ++i) bytes[i] = static_cast<uint8_t>(random.below(255));
  const Image image = decode(bytes);
  EXPECT_TRUE(image.damaged());
  EXPECT_EQ(image.width(), 200);
  EXPECT_NE(refusal(bytes, {.strict = true}).find("damaged: "), std::string::npos);
}

TEST(DecodeFault, I08GreyJpegHasThreeEqualChannels) {
  const Image image = decode(jpeg_of(wave_image(30, 20, 1), TJSAMP_GRAY));
  for (size_t i = 0; i < image.bytes(); i += 3) {
    ASSERT_EQ(image.data()[i], image.data()[i + 1]);
    ASSERT_EQ(image.data()[i], image.data()[i + 2]);
  }
  EXPECT_EQ(difference(decode(golden_images().bytes("jpeg_grey.file")),
                       golden_images().bytes("jpeg_grey.pixels")),
            "");
}

TEST(DecodeFault, I09TransparencyIsDropped) {
  for (const char* name : {"png_palette_alpha", "png_grey_alpha", "png_rgba"})
    EXPECT_EQ(difference(decode(golden_images().bytes(std::string(name) + ".file")),
                         golden_images().bytes(std::string(name) + ".pixels")),
              "")
        << name;
}

TEST(DecodeFault, I10AndI11ContentDecidesNotTheSuffix) {
  const PictureFolder folder;
  const Image image = wave_image(30, 20, 1);
  const Bytes expected(image.data(), image.data() + image.bytes());
  folder.write("a.JPEG", coded_as(image, ".png"));
  folder.write("b.jpg", coded_as(image, ".bmp"));
  folder.write("c.png", jpeg_of(image));
  EXPECT_EQ(difference(decode_file(folder.path("a.JPEG")), expected), "");
  EXPECT_EQ(difference(decode_file(folder.path("b.jpg")), expected), "");
  EXPECT_EQ(decode_file(folder.path("c.png")).width(), 30);
}

TEST(DecodeFault, I13AndI14OrientationIsIgnoredWhateverItIs) {
  const Bytes plain = good_jpeg();
  const Image expected = decode(plain);
  for (const uint8_t orientation : {0, 6, 9, 255}) {
    const Bytes exif = {'E', 'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42,          0, 0, 0, 8, 0, 1,
                        1,   0x12, 0,   3,   0, 0, 0,   1,   0, orientation, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(difference(decode(with_segment(plain, 0xE1, exif)),
                         Bytes(expected.data(), expected.data() + expected.bytes())),
              "");
  }
}

TEST(DecodeFault, I16HugeHeaderIsRefusedBeforeMemoryIsTaken) {
  EXPECT_EQ(
      refusal(with_size(good_jpeg(), 65500, 65500)),
      "65500x65500 pixels, more than the limit of 100000000 | --max-image-pixels raises the limit");
  EXPECT_NE(refusal(good_jpeg(), {.max_pixels = 120 * 90 - 1}), "");
  EXPECT_EQ(refusal(good_jpeg(), {.max_pixels = 120 * 90}), "");
}

TEST(DecodeFault, I19HugePngAndBitmapHeadersAreRefused) {
  for (const auto& [suffix, at] : {std::pair(".png", size_t{16}), std::pair(".bmp", size_t{18})}) {
    Bytes bytes = coded_as(wave_image(20, 20, 1), suffix);
    for (size_t i = at; i < at + 8; ++i) bytes[i] = i % 4 == 1 || i % 4 == 2 ? 1 : 0;
    EXPECT_NE(refusal(bytes).find("more than the limit"), std::string::npos)
        << suffix << refusal(bytes);
  }
}

TEST(DecodeFault, I21HeightOfZeroIsASizeMissing) {
  EXPECT_EQ(refusal(with_size(good_jpeg(), 120, 0)), "size missing | ");
}

TEST(DecodeFault, I22LongSegmentsBeforeThePictureAreSkipped) {
  Bytes bytes = good_jpeg();
  for (int i = 0; i < 100; ++i) bytes = with_segment(bytes, 0xE2, Bytes(60000, 0xFF));
  EXPECT_EQ(decode(bytes).width(), 120);
}

TEST(DecodeFault, I23OtherFormatsAreRefusedWithAListOfWhatIsBuiltIn) {
  EXPECT_EQ(refusal(bytes_of("GIF89a......")),
            "GIF is not built in; JPEG, PNG, BMP, WebP and binary PNM are | ");
  EXPECT_NE(refusal(bytes_of(std::string_view("MM\0*....", 8))).find("TIFF"), std::string::npos);
}

TEST(DecodeFault, I24LargeFileIsRefusedUnread) {
  const PictureFolder folder;
  folder.write("a.jpg", "x");
  ASSERT_EQ(truncate(folder.path("a.jpg").c_str(), off_t{3} << 30), 0);
  EXPECT_NE(error_of<BadSample>([&] {
              decode_file(folder.path("a.jpg"));
            }).find("3221225472 bytes, more than the limit of 67108864 | --max-image-bytes"),
            std::string::npos);
}

TEST(DecodeFault, PipesAndFoldersAreNotRead) {
  const PictureFolder folder;
  folder.make_folder("a.jpg");
  EXPECT_NE(
      error_of<BadSample>([&] { decode_file(folder.path("a.jpg")); }).find("not a regular file"),
      std::string::npos);
  EXPECT_NE(error_of<BadSample>([&] { decode_file(folder.path("none.jpg")); }).find("No such file"),
            std::string::npos);
  ASSERT_EQ(mkfifo(folder.path("pipe.jpg").c_str(), 0600), 0);
  EXPECT_NE(
      error_of<BadSample>([&] { decode_file(folder.path("pipe.jpg")); }).find("not a regular file"),
      std::string::npos);
}

TEST(DecodeFault, FlippedBitsEndInAPictureOrARefusal) {
  for (const Bytes& whole :
       {jpeg_of(wave_image(40, 30, 2)), coded_as(wave_image(12, 10, 2), ".bmp"),
        golden_images().bytes("webp.file"), golden_images().bytes("ppm.file")}) {
    Random random(11);
    for (int round = 0; round < 300; ++round) {
      Bytes bytes = whole;
      bytes[random.below(bytes.size())] ^= static_cast<uint8_t>(1U << random.below(8));
      try {
        const Image image = decode(bytes, {.max_pixels = 1'000'000});
        ASSERT_GT(image.bytes(), 0U);
      } catch (const BadSample& error) {
        ASSERT_STRNE(error.what(), "");
      }
    }
  }
}

}  // namespace stair::data
