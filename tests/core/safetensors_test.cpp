#include "core/safetensors.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "core/json.h"
#include "tests/support/real_files.h"
#include "tests/support/temporary_folder.h"

namespace stair {
namespace {

using support::TemporaryFolder;

std::string with_header(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

SafeTensors read_bytes(const std::string& bytes) {
  const TemporaryFolder folder;
  write_file(folder / "t.safetensors", bytes);
  return read_safetensors(folder / "t.safetensors");
}

}  // namespace

TEST(SafeTensors, EveryTypeRoundTripsInOrder) {
  const TemporaryFolder folder;
  const std::string path = folder / "t.safetensors";
  const std::vector<NamedTensor> tensors = {
      {"z.f32", Tensor::from<float>({1, -2, 0.5F, 4, 5, 6}, {2, 3})},
      {"f64", Tensor::from<double>({1e300}, {1, 1})},
      {"u8", Tensor::from<uint8_t>({0, 255, 7}, {3})},
      {"s8", Tensor::from<int8_t>({-128, 127}, {2})},
      {"s32", Tensor::from<int32_t>({-5}, {})},
      {"empty", Tensor::empty({0, 4}, DType::f32)},
      {"s64", Tensor::from<int64_t>({INT64_MIN, INT64_MAX}, {2})},
  };
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"a\"\n", "é"}};
  write_safetensors(path, tensors, metadata);
  const SafeTensors back = read_safetensors(path);
  EXPECT_EQ(back.metadata, metadata);
  ASSERT_EQ(back.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(back.tensors[i].name, tensors[i].name);
    const Tensor &read = back.tensors[i].tensor, &written = tensors[i].tensor;
    EXPECT_EQ(read.shape(), written.shape());
    ASSERT_EQ(read.dtype(), written.dtype());
    EXPECT_EQ(std::memcmp(read.raw(), written.raw(), written.bytes()), 0);
  }
  EXPECT_EQ(back.tensors[2].stored_as, "U8");
}

TEST(SafeTensors, TheFileIsThatOfTheFormat) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {{"a", Tensor::from<uint8_t>({65, 66}, {2})}};
  write_safetensors(folder / "t", tensors);
  const std::string header = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   )";
  EXPECT_EQ(header.size() % 8, 0U);
  EXPECT_EQ(read_file(folder / "t", 1000, FileUse::model), with_header(header, "AB"));
}

TEST(SafeTensors, SixteenBitFloatsBecomeFloatsAndBooleansBytes) {
  const std::string header = R"({"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                             R"("b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},)"
                             R"("m":{"dtype":"BOOL","shape":[2],"data_offsets":[6,8]}})";
  const SafeTensors read =
      read_bytes(with_header(header, std::string("\x00\x3c\x00\xc0\x80\x3f\x00\x01", 8)));
  EXPECT_EQ(read.at("h").data<float>()[0], 1.0F);
  EXPECT_EQ(read.at("h").data<float>()[1], -2.0F);
  EXPECT_EQ(read.at("b").item<float>(), 1.0F);
  EXPECT_EQ(read.at("m").data<uint8_t>()[1], 1);
  EXPECT_EQ(read.tensors[0].stored_as, "F16");
  EXPECT_EQ(read.tensors[1].stored_as, "BF16");
  EXPECT_EQ(read.tensors[2].stored_as, "BOOL");
}

TEST(SafeTensors, LargeSixteenBitTensorsAreConvertedInParts) {
  constexpr int64_t kCount = 40000;
  std::string data;
  for (int64_t i = 0; i < kCount; ++i)
    data += {static_cast<char>(i & 255), static_cast<char>(i >> 8 & 255)};
  const SafeTensors read = read_bytes(
      with_header(R"({"h":{"dtype":"BF16","shape":[200,200],"data_offsets":[0,80000]}})", data));
  for (int64_t i = 0; i < 0x7F80; ++i) {
    const auto bits = static_cast<uint32_t>(i) << 16;
    ASSERT_EQ(std::memcmp(read.at("h").data<float>() + i, &bits, 4), 0) << i;
  }
}

TEST(SafeTensors, OrderFollowsTheBytesAndNotTheHeader) {
  const SafeTensors read =
      read_bytes(with_header(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                             "xy"));
  EXPECT_EQ(read.tensors[0].name, "a");
  EXPECT_EQ(read.at("b").item<uint8_t>(), 'y');
  EXPECT_EQ(read.find("c"), nullptr);
}

TEST(SafeTensors, AMissingTensorIsNamedWithTheNearest) {
  const SafeTensors read = read_bytes(
      with_header(R"({"fc.weight":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", ""));
  try {
    read.at("fc.wieght");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_TRUE(std::string(error.what()).ends_with("has no tensor 'fc.wieght'")) << error.what();
    EXPECT_EQ(error.hint(), "did you mean 'fc.weight'?");
  }
}

TEST(SafeTensors, WhatTheFormatCannotHoldIsNotWritten) {
  const TemporaryFolder folder;
  const auto write = [&](std::vector<NamedTensor> tensors) {
    write_safetensors(folder / "t", tensors);
  };
  const Tensor one = Tensor::zeros({1}, DType::u8);
  EXPECT_THROW(write({{"a", one}, {"a", one}}), FormatError);
  EXPECT_THROW(write({{"__metadata__", one}}), FormatError);
  EXPECT_THROW(write({{"a\xff", one}}), FormatError);
  EXPECT_THROW(write({{"a", Tensor()}}), DTypeError);
  EXPECT_THROW(write({{"a", Tensor::zeros({8}, DType::b1)}}), DTypeError);
  EXPECT_TRUE(list_folder(folder.path(), FileUse::model).empty());
}

TEST(SafeTensorsGolden, EveryFileOfTheIndexIsReadWithAllItsTensors) {
  const std::string golden = support::shared_file("golden");
  if (golden.empty()) GTEST_SKIP() << "STAIR_SHARED names no folder with golden/";
  const Json index =
      parse_json(read_file(path_in(golden, "index.json"), 16 << 20, FileUse::data), "index.json");
  std::map<std::string, SafeTensors> files;
  size_t keys = 0;
  for (const Json& entry : index.at("cases").as_array()) {
    const std::string& name = entry.at("file").as_string();
    if (!files.contains(name)) files[name] = read_safetensors(path_in(golden, name));
    for (const char* role : {"inputs", "outputs", "grads"}) {
      for (const auto& [ignored, key] : entry.at(role).as_object()) {
        ASSERT_NE(files[name].find(key.as_string()), nullptr) << name << " " << key.as_string();
        ++keys;
      }
    }
  }
  EXPECT_GE(files.size(), 9U);
  EXPECT_GT(keys, 2000U);
}

}  // namespace stair
