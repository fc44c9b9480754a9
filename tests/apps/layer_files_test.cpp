// Dictionaries of torch's form on the command line.
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "core/file.h"
#include "qat/backend_config.h"
#include "qat/qconfig_mapping.h"
#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

std::string mapping(const TemporaryFolder& folder, const std::string& float_layer) {
  const qat::QConfigMapping m =
      qat::get_default_qat_qconfig_mapping("x86").set_module_name(float_layer, std::nullopt);
  return folder.put(float_layer + ".json", m.to_dict().dump(1));
}

TEST(LayerFilesJob, TrainingFollowsTheMappingAndItsFilesKnowIt) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Flags flags = {{"--qconfig-mapping", mapping(folder, "layer2")}};
  ASSERT_EQ(train(run, flags).code, 0);
  const std::string report = file_text(run + "/quantization.txt");
  size_t floats = 0, layers = 0;
  std::istringstream lines(report);
  for (std::string line; std::getline(lines, line);) {
    const bool in_layer2 = line.substr(7).starts_with("layer2.");
    layers += in_layer2 ? 1 : 0;
    floats += in_layer2 && line.starts_with("float ") ? 1 : 0;
  }
  EXPECT_GT(layers, 6U);
  EXPECT_EQ(floats, layers) << report;
  // The checkpoint rebuilds the network without the file.
  std::filesystem::remove(folder / "layer2.json");
  ASSERT_EQ(eval(run + "/last.int8", {{"--logits", folder / "logits"}}).code, 0);
  expect_ended(eval(newest_checkpoint(run), {{"--expect-logits", folder / "logits"}}), 0, {});
  const Flags other = {
      {"--qconfig-mapping", mapping(folder, "layer1")}, {"--resume", "auto"}, {"--epochs", "3"}};
  expect_ended(train(run, other), 4, {"qconfig_mapping: checkpoint {", " | this run {"});
  expect_ended(train(run, {{"--resume", "auto"}, {"--epochs", "3"}}), 4,
               {"qconfig_mapping: checkpoint {", "} | this run nothing"});
}

TEST(LayerFilesJob, PostTrainingQuantizationTakesMappingAndBackend) {
  const TemporaryFolder folder;
  const std::string backend =
      folder.put("backend.json", qat::get_qnnpack_backend_config().to_dict().dump(1));
  const std::string out = folder / "o.int8";
  const std::vector<std::string> job = {"--model",          "resnet20", "--synthetic-images", "40",
                                        "--calib-batches",  "1",        "--batch-size",       "8",
                                        "--val-crop-size",  "16",       "--output",           out,
                                        "--qconfig-mapping"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = job;
    words.insert(words.end(), more.begin(), more.end());
    return run_child("qat_ptq", words);
  };
  expect_ended(with({mapping(folder, "layer3")}), 0, {" operations stay float"});
  // The scales of qnnpack's backend begin at 2^-12, which the x86 configuration does not keep to.
  expect_ended(with({mapping(folder, "layer3"), "--backend-config", backend, "--strict"}), 2,
               {"these operations stay float", "scale"});
}

TEST(LayerFilesFault, WhatIsWrongIsNamedWithTheFile) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const auto ends = [&](const std::string& text, const std::vector<std::string>& says) {
    const std::string path = folder.put("m.json", text);
    expect_ended(train(run, {{"--qconfig-mapping", path}}), 2, says);
  };
  expect_ended(train(run, {{"--qconfig-mapping", mapping(folder, "layer9")}}), 2,
               {"'layer9'", "layer1"});
  ends("{\"\": {\"activation\": }", {"m.json': ", "byte 20"});
  ends("[]", {"m.json': "});
  ends("{\"module_nam\": []}", {"m.json': ", "'module_nam'", "did you mean 'module_name'?"});
  ends("{\"\": {\"weight\": {\"dtype\": \"qint9\"}}}", {"m.json': ", "qint9"});
  expect_ended(train(run, {{"--qconfig-mapping", folder / "none"}}), 2, {"none", "No such file"});
  const std::string good = mapping(folder, "layer1");
  expect_ended(train(run, {{"--qconfig-mapping", good}, {"--wbits", "4"}}), 2,
               {"--wbits", "--qconfig-mapping", "contradict"});
  expect_ended(train(run, {{"--backend-config", good}}), 2, {"layer1.json': "});
  EXPECT_TRUE(names_in(run).empty());
}

}  // namespace
}  // namespace stair::apps
