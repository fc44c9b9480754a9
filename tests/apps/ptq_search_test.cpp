// qat_ptq --sensitivity, --max-drop, --budget-mb, --budget-gbops: what they find, and that it can
// be used.
#include "apps/train/ptq_search.h"

#include <gtest/gtest.h>

#include "apps/train/layer_files.h"
#include "qat/ptq/calibrate.h"
#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

std::vector<std::string> job(const TemporaryFolder& folder, const std::vector<std::string>& more) {
  std::vector<std::string> flags = {
      "--model",  "resnet20",          "--synthetic-images", "40", "--batch-size", "8",
      "--output", folder / "net.int8", "--calib-batches",    "2",  "--json"};
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

Json ptq(const TemporaryFolder& folder, const std::vector<std::string>& more) {
  const Ended ended = run_child("qat_ptq", job(folder, more));
  EXPECT_EQ(ended.code, 0) << ended.err;
  return ended.code == 0 ? parse_json(ended.out) : Json();
}

TEST(PtqSearch, SensitivityListsEveryLayerWorstFirst) {
  const TemporaryFolder folder;
  const Json alone = ptq(folder, {"--sensitivity", "one-on", "--wbits", "3"});
  const Json others = ptq(folder, {"--sensitivity", "all-but-one", "--wbits", "3"});
  const auto& a = alone.at("sensitivity").as_array();
  const auto& b = others.at("sensitivity").as_array();
  ASSERT_EQ(a.size(), 20U);
  ASSERT_EQ(b.size(), 20U);
  for (size_t i = 1; i < a.size(); ++i) {
    EXPECT_GE(a[i].at("sqnr_db").as_double(), a[i - 1].at("sqnr_db").as_double());
    EXPECT_LE(b[i].at("sqnr_db").as_double(), b[i - 1].at("sqnr_db").as_double());
  }
  // One layer on integers disturbs less than all but one.
  EXPECT_GT(a[0].at("sqnr_db").as_double(), b[19].at("sqnr_db").as_double());
}

TEST(PtqSearch, TheFileFitsTheBudgetAndItsBitsCanBeRepeated) {
  const TemporaryFolder folder;
  const int64_t all_8 = ptq(folder, {}).at("int8_bytes").as_int();
  const int64_t budget = all_8 * 6 / 10;
  const Json found = ptq(folder, {"--budget-mb", std::to_string(1e-6 * budget)});
  EXPECT_LE(found.at("int8_bytes").as_int(), budget);
  EXPECT_GT(found.at("int8_bytes").as_int(), budget * 9 / 10);
  const auto& bits = found.at("layer_wbits").as_array();
  ASSERT_EQ(bits.size(), 20U);
  EXPECT_EQ(bits.front().as_string(), "conv1=8");
  EXPECT_EQ(bits.back().as_string(), "linear=8");
  const std::string layers = folder / "net.int8.layers.toml";
  const Json again = ptq(folder, {"--config", layers});
  EXPECT_EQ(again.at("int8_bytes").as_int(), found.at("int8_bytes").as_int());
  EXPECT_EQ(again.at("int8_top1").as_double(), found.at("int8_top1").as_double());
  // The same bits train, resume and are in the file.
  ASSERT_EQ(train(folder / "run", {{"--config", layers}}).code, 0);
  Flags resumed = {{"--config", layers}, {"--epochs", "3"}, {"--resume", "auto"}};
  const Ended ended = train(folder / "run", resumed);
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_NEAR(static_cast<double>(file_text(folder / "run/last.int8").size()),
              static_cast<double>(budget), 0.1 * static_cast<double>(budget));
}

TEST(PtqSearch, BitOperationsFitTheirBudget) {
  const TemporaryFolder folder;
  // ResNet-20 on 32 pixels: 40.6 M multiplications of 8 by 8 bits are 2.6 GBOPs.
  const Ended ended = run_child("qat_ptq", job(folder, {"--budget-gbops", "1.5"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const size_t place = ended.err.find(" GBOPs a picture");
  ASSERT_NE(place, std::string::npos) << ended.err;
  const double used = std::stod(ended.err.substr(ended.err.rfind(' ', place - 1)));
  EXPECT_LE(used, 1.5);
  EXPECT_GT(used, 1.4);
}

// A search that sees scores of its own: the float network has 90, each float layer wins one.
TEST(PtqSearch, LayersGoBackUntilTheDropIsMet) {
  const TemporaryFolder folder;
  PtqSearchConfig config;
  config.max_drop = 3.5;
  config.layers_output = folder / "layers.toml";
  std::vector<size_t> tried;
  std::string said;
  PtqHooks hooks;
  TrainConfig train;
  train.model.model = "resnet20";
  const auto real = build_float(train.model, 3, 32, 1);
  size_t excluded = 0;
  hooks.quantize = [&](const LayerConfig& layers, int) {
    excluded = layers.exclude.size();
    auto model = std::make_unique<nn::GraphModule>(
        qat::prepare(real->graph(), *quantizer_of(qat::QuantizationConfig(), layers)).graph);
    qat::calibrate(*model, hooks.batches);
    return model;
  };
  hooks.batches = [](const auto& f) { f(Tensor::full<float>({1, 32, 32, 3}, 0.5F)); };
  hooks.float_top1 = [] { return 90.0; };
  hooks.int8_top1 = [&](const nn::GraphModule&) {
    tried.push_back(excluded);
    return 80.0 + static_cast<double>(excluded);
  };
  hooks.say = [&](const std::string& text) { said += text + "\n"; };
  const PtqSearchResult result = search(config, {}, 8, true, hooks);
  EXPECT_EQ(result.float_layers.size(), 7U);
  EXPECT_EQ(result.layers.exclude, result.float_layers);
  EXPECT_EQ(tried, (std::vector<size_t>{0, 1, 2, 4, 8, 6, 7}));
  EXPECT_NE(said.find("7 layers float: int8 top-1 87.00, 3.00 below float"), std::string::npos);
  EXPECT_NE(file_text(folder / "layers.toml").find("exclude = [\n  \"" + result.float_layers[0]),
            std::string::npos);
  hooks.int8_top1 = [](const nn::GraphModule&) { return 50.0; };
  try {
    search(config, {}, 8, true, hooks);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("with all 20 layers float"), std::string::npos);
  }
}

TEST(PtqSearchFault, WrongLayersAndBudgetsSaySo) {
  const TemporaryFolder folder;
  const auto fails = [&](const std::vector<std::string>& flags,
                         const std::vector<std::string>& says) {
    expect_ended(run_child("qat_ptq", job(folder, flags)), 2, says);
  };
  fails({"--layer-wbits", "layer1.0.conv9=4"}, {"'layer1.0.conv9'", "'layer1.0.conv1'"});
  fails({"--layer-wbits", "relu=4"}, {"'relu'", "no convolution or linear layer"});
  fails({"--layer-wbits", "conv1"}, {"'conv1'", "NAME=BITS"});
  fails({"--layer-wbits", "conv1=9"}, {"2 to 8 bits"});
  fails({"--budget-mb", "0.01"}, {"fewest bits"});
  fails({"--budget-mb", "1", "--budget-gbops", "1"}, {"one budget at a time"});
  fails({"--budget-mb", "1", "--wbits", "4"}, {"the search chooses the bits"});
  // Before the first float epoch, not after the last one.
  const Ended ended = train(folder / "run", {{"--layer-wbits", "layr1=4"}});
  expect_ended(ended, 2, {"'layr1'", "'layer1'"});
  EXPECT_EQ(ended.err.find("epoch"), std::string::npos) << ended.err;
}

TEST(PtqSearchSlow, TheCollapseOfPhotographsPerTensorIsHealedByFloatLayers) {
  const TemporaryFolder folder;
  const Photographs set = photographs();
  if (set.weights.empty()) GTEST_SKIP() << kNeedsPhotographs;
  const Ended ended =
      ptq_photographs(set, folder / "net.int8", {"--preset", "qnnpack", "--max-drop", "3"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json j = parse_json(ended.out);
  EXPECT_GE(j.at("int8_top1").as_double(), j.at("float_top1").as_double() - 3);
  EXPECT_GT(j.at("float_layers").size(), 0U);
  EXPECT_LT(j.at("float_layers").size(), 30U);
}

}  // namespace
}  // namespace stair::apps
