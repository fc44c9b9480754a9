// qat_compare: forms of one network, layer by layer.
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

// On the pictures that tiny_job evaluates.
Ended compare(const std::string& a, const std::string& b, const std::vector<std::string>& more) {
  std::vector<std::string> words = {a, b, "--synthetic-images", "40", "--eval-batch-size", "4"};
  words.insert(words.end(), more.begin(), more.end());
  return run_child("qat_compare", words);
}

const Json& layer_of(const Json& list, const std::string& name) {
  for (const Json& layer : list.as_array())
    if (layer.at("layer").as_string() == name) return layer;
  throw FormatError("no layer " + name);
}

TEST(CompareExact, ARunFolderHasTheCodesOfItsInt8File) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const Ended ended = compare(folder / "run", folder / "run/last.int8",
                              {"--json", "--min-sqnr", "1000", "--eval-batches", "2"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json j = parse_json(ended.out);
  EXPECT_EQ(j.at("pictures").as_int(), 8);
  EXPECT_EQ(j.at("only_a").size() + j.at("only_b").size(), 0U);
  ASSERT_GT(j.at("values").size(), 20U);
  int integers = 0;
  for (const char* kind : {"values", "weights"})
    for (const Json& layer : j.at(kind).as_array()) {
      EXPECT_EQ(layer.at("max_difference").as_double(), 0) << layer.dump();
      const Json* different = layer.find("different_codes");
      integers += different ? 1 : 0;
      EXPECT_EQ(different ? different->as_int() : 0, 0) << layer.dump();
    }
  EXPECT_GT(integers, 40);
}

TEST(Compare, TwoEpochsDifferAndTheFirstCodeIsNamed) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {{"--epochs", "3"}, {"--checkpoint-hist", "9"}}).code, 0);
  const std::string histograms = folder / "histograms.json";
  const Ended ended = compare(folder / "run/checkpoint-00000006.stair", folder / "run/last.int8",
                              {"--json", "--histograms", histograms});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json j = parse_json(ended.out), &conv = layer_of(j.at("weights"), "layer1.0.conv1");
  EXPECT_GT(conv.at("different_codes").as_int(), 0);
  const Json& first = conv.at("first_difference");
  EXPECT_EQ(first.at("index").size(), 4U);
  EXPECT_NE(first.at("a").as_int(), first.at("b").as_int());
  EXPECT_LT(conv.at("sqnr_db").as_double(), 100);
  // Every code is in one bin.
  const Json counted = parse_json(file_text(histograms));
  for (const char* network : {"a", "b"}) {
    double sum = 0;
    for (const Json& count :
         counted.at(network).at("activations").at("layer1.0.conv1").at("counts").as_array())
      sum += count.as_double();
    EXPECT_EQ(sum, layer_of(j.at("values"), "layer1.0.conv1").at("elements").as_double());
  }
  const Ended gate = compare(folder / "run/checkpoint-00000006.stair", folder / "run/last.int8",
                             {"--min-sqnr", "200"});
  EXPECT_EQ(gate.code, 9) << gate.err;
  EXPECT_NE(gate.out.find("% differ, first ["), std::string::npos) << gate.out;
}

TEST(Compare, ShadowsListTheErrorOfEachLayerAlone) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const std::string run = folder / "run";
  // Against itself no layer has an error, alone or not; a checkpoint of QAT is deployed for it.
  const Ended same = compare(run + "/last.int8", run, {"--json", "--shadow"});
  ASSERT_EQ(same.code, 0) << same.err;
  const Json j = parse_json(same.out);
  ASSERT_GT(j.at("values").size(), 20U);
  for (const Json& layer : j.at("values").as_array())
    EXPECT_EQ(layer.at("max_difference_alone").as_double(), 0) << layer.dump();
  // Against float weights the errors of later layers are larger together than alone.
  const Ended ended =
      compare(run + "/checkpoint-00000003.stair", run + "/last.int8", {"--json", "--shadow"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json last = layer_of(parse_json(ended.out).at("values"), "layer3.2.conv2");
  EXPECT_GT(last.at("sqnr_alone_db").as_double(), last.at("sqnr_db").as_double() + 3);
  const Ended table = compare(run + "/checkpoint-00000003.stair", run + "/last.int8", {"--shadow"});
  EXPECT_NE(table.out.find("SQNR dB    alone    cosine"), std::string::npos) << table.out;
  expect_ended(compare(run, run + "/checkpoint-00000003.stair", {"--shadow"}), 2,
               {"B is a float network", "hint: --shadow"});
}

TEST(CompareFault, WhatCannotBeComparedSaysWhy) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run").code, 0);
  const std::string int8 = folder / "run/last.int8";
  expect_ended(compare(folder / "", int8, {}), 2, {"holds no checkpoint"});
  expect_ended(compare(int8, folder / "no.int8", {}), 4, {"no.int8"});
  ASSERT_EQ(
      run_child("qat_ptq", {"--model", "mobilenet_v2", "--synthetic-images", "40", "--batch-size",
                            "4", "--calib-batches", "1", "--output", folder / "other.int8"})
          .code,
      0);
  expect_ended(compare(int8, folder / "other.int8", {}), 2,
               {"A prepares pictures with", "--val-crop-size"});
  expect_ended(compare(int8, folder / "other.int8", {"--val-crop-size", "32"}), 2,
               {"is [4,", "one network"});
}

}  // namespace
}  // namespace stair::apps
