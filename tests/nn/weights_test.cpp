// Files of weights: other widths, several files, and what is refused (rows S16, S19).
#include "nn/weights.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "core/json.h"
#include "nn/model.h"
#include "tests/nn/values.h"
#include "tests/support/temporary_folder.h"

namespace stair::nn {
namespace {

using support::TemporaryFolder;

std::string raw_file(const std::string& dtype, const std::string& data) {
  const std::string header = "{\"a\":{\"dtype\":\"" + dtype +
                             "\",\"shape\":[2],\"data_offsets\":[0," + std::to_string(data.size()) +
                             "]}}";
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

TEST(WeightsFault, S16OtherWidthsBecomeF32WithALine) {
  const TemporaryFolder folder;
  const double reals[] = {1, -2};
  const std::map<std::string, std::string> data = {
      {"F16", std::string("\x00\x3c\x00\xc0", 4)},
      {"BF16", std::string("\x80\x3f\x00\xc0", 4)},
      {"F64", std::string(reinterpret_cast<const char*>(reals), sizeof(reals))}};
  for (const auto& [type, bytes] : data) {
    const Weights w = read_weights(folder.put(type, raw_file(type, bytes)));
    EXPECT_TRUE(same(w.tensors.at(0).tensor, Tensor::from<float>({1, -2}, {2}))) << type;
    EXPECT_EQ(w.notes, std::vector<std::string>{"1 tensors converted from " + type + " to F32"});
  }
}

// A model in two files and their index.
class WeightsIndexFault : public testing::Test {
 protected:
  WeightsIndexFault() {
    model_ = find_model("resnet20").build({.width = 0.25, .seed = 1});
    const std::vector<NamedTensor> all = state_dict(*model_);
    write_safetensors(folder_ / "1.safetensors", std::span(all).first(40));
    write_safetensors(folder_ / "2.safetensors", std::span(all).subspan(40));
    for (size_t i = 0; i < all.size(); ++i)
      map_.set(all[i].name, i < 40 ? "1.safetensors" : "2.safetensors");
  }

  // What reading says after the path of the index; empty when all is well.
  std::string outcome(const Json& map) {
    const std::string path = folder_ / "w.safetensors.index.json";
    write_file(path, Json::object().set("weight_map", map).dump());
    try {
      (void)read_weights(path);
      return "";
    } catch (const FormatError& error) {
      const std::string what = error.what(), start = "cannot read '" + path + "': ";
      return what.starts_with(start) ? what.substr(start.size()) : what;
    }
  }

  TemporaryFolder folder_;
  std::shared_ptr<Module> model_;
  Json map_ = Json::object();
};

TEST_F(WeightsIndexFault, TheModelIsReadFromItsParts) {
  EXPECT_EQ(outcome(map_), "");
  const auto other = find_model("resnet20").build({.width = 0.25, .seed = 2});
  load_weights(*other, folder_ / "w.safetensors.index.json");
  EXPECT_TRUE(same(model_->named_parameters()[0].variable.value(),
                   other->named_parameters()[0].variable.value()));
}

TEST_F(WeightsIndexFault, S19OnlyPlainNamesBesideTheIndexAreRead) {
  const std::string refused = ", only plain files in the same folder are read";
  for (const std::string& name :
       {std::string("../w.safetensors"), folder_ / "1.safetensors", std::string(".."),
        std::string("a/1.safetensors"), std::string("1.safetensors\0x", 15), std::string()}) {
    Json map = map_;
    map.set("fc.weight", name);
    const std::string text = outcome(map);
    EXPECT_TRUE(text.starts_with("weight_map names '") && text.ends_with(refused)) << text;
  }
  std::filesystem::create_symlink(folder_ / "1.safetensors", folder_ / "link");
  Json map = map_;
  map.set("fc.weight", "link");
  EXPECT_EQ(outcome(map), "weight_map names 'link'" + refused);
}

TEST_F(WeightsIndexFault, IndexAndPartsMustAgree) {
  Json map = map_;
  map.set("fc.weight", "1.safetensors");
  EXPECT_EQ(outcome(map), "there is no tensor 'fc.weight' in '1.safetensors'");
  map = map_;
  map.set("conv1.weight", "2.safetensors");
  EXPECT_EQ(outcome(map), "weight_map does not say that 'conv1.weight' is in '1.safetensors'");
  map.set("fc.weight", 3);
  EXPECT_EQ(outcome(map), "the file of 'fc.weight' is no text");
  EXPECT_EQ(outcome("text"), "it has no object weight_map");
  map = map_;
  map.set("fc.weight", "none.safetensors");
  EXPECT_NE(outcome(map).find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace stair::nn
