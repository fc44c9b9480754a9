// The command line of AMD Quark's example, and freezing in our own spelling.
#include <gtest/gtest.h>

#include "apps/train/frozen.h"
#include "core/file.h"
#include "nn/model.h"
#include "nn/weights.h"
#include "tests/apps/child_program.h"
#include "tests/apps/onnx/read_qdq.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

std::string save_model(const TemporaryFolder& folder, const std::string& model, double width = 1) {
  const std::string path = folder / (model + ".safetensors");
  nn::save_weights(path,
                   *nn::find_model(model).build({.num_classes = 10, .width = width, .seed = 2}));
  return path;
}

// The built-in pictures, few of them.
Ended quark(const TemporaryFolder& folder, std::vector<std::string> words) {
  const std::vector<std::string> small = {
      "--synthetic-images", "60", "--batch-size",      "8",  "--eval-batches",  "1",
      "--eval-batch-size",  "8",  "--train-crop-size", "16", "--val-crop-size", "16",
      "--threads",          "1",  "--workers",         "0",  "--output-dir",    folder / "run"};
  words.insert(words.end(), small.begin(), small.end());
  return run_child("qat_train", words);
}

// Symmetric, as the preset quark is: biases are codes, too.
void expect_exported(const std::string& stem, bool symmetric = true) {
  EXPECT_GT(parse_onnx(file_text(stem + ".onnx")).graph().node_size(), 20);
  const Json encodings = parse_json(file_text(stem + ".json"));
  for (const char* kind : {"activation_encodings", "param_encodings"})
    for (const auto& [name, list] : encodings.at(kind).as_object())
      for (const Json& e : list.as_array()) {
        if (symmetric) {
          EXPECT_EQ(e.at("is_symmetric").as_string(), "True") << name;
        }
        EXPECT_EQ(e.at("bitwidth").as_int(), name.ends_with(".bias") && !symmetric ? 32 : 8)
            << name;
      }
}

TEST(QuarkJob, WithoutTrainingItCalibratesFreezesComparesAndExports) {
  const TemporaryFolder folder;
  const std::string weights = save_model(folder, "resnet20");
  const Ended ended = quark(folder, {"--model_name", "resnet20", "--pretrained", weights,
                                     "--model_export", "onnx", "--export_dir", folder / "out"});
  expect_ended(ended, 0,
               {"calibrated on 60 pictures", "frozen, with the same scores",
                "wrote " + folder / "out/resnet20.onnx", "wrote " + folder / "out/resnet20.json"});
  EXPECT_NE(ended.out.find("quantized and frozen "), std::string::npos);
  expect_exported(folder / "out/resnet20");
  EXPECT_EQ(names_in(folder / "run"), std::vector<std::string>{"ptq.int8"});
  expect_ended(quark(folder, {"--model_name", "resnet20", "--pretrained", weights, "--export_dir",
                              folder / "out"}),
               5, {"resnet20.onnx' exists", "--overwrite"});
}

TEST(QuarkJob, QatLsqAndTqtTrainAndExport) {
  const TemporaryFolder folder;
  const std::string weights = save_model(folder, "mobilenet_v2", 0.25);
  int runs = 0;
  for (const std::vector<std::string>& kind :
       std::vector<std::vector<std::string>>{{"--qat", "True"},
                                             {"--qat", "True", "--lsq", "True", "--tqt", "False"},
                                             {"--tqt", "True"}}) {
    std::vector<std::string> words = {
        "--model_name",    "mobilenetv2", "--width",      "0.25",         "--pretrained", weights,
        "--model_export",  "onnx",        "--export_dir", folder / "out", "--epochs",     "1",
        "--train-batches", "2",           "--overwrite"};
    words.insert(words.end(), kind.begin(), kind.end());
    const char* quantizers[] = {"quantization: ste, ", "quantization: lsq, ",
                                "quantization: tqt, "};
    expect_ended(quark(folder, words), 0,
                 {quantizers[runs++], "frozen, with the same scores", "mobilenet_v2.onnx"});
    // The ranges of tqt behind a ReLU have no negative half.
    expect_exported(folder / "out/mobilenet_v2", runs < 3);
  }
}

TEST(QuarkFault, WhatContradictsItselfIsNamed) {
  const TemporaryFolder folder;
  const std::string weights = save_model(folder, "resnet20");
  const std::vector<std::string> base = {"--model_name", "resnet20", "--pretrained", weights};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = base;
    words.insert(words.end(), more.begin(), more.end());
    return quark(folder, words);
  };
  expect_ended(with({"--lsq", "True", "--tqt", "True"}), 2, {"--lsq True", "--tqt True"});
  expect_ended(with({"--lsq", "True", "--quantizer", "tqt"}), 2, {"--quantizer", "--lsq True"});
  expect_ended(with({"--qat", "yes"}), 2, {"--qat", "True, False"});
  expect_ended(with({"--weights", weights}), 2, {"--pretrained", "--weights"});
  expect_ended(with({"--model_export", "tflite", "--export_dir", folder / "out"}), 2,
               {"tflite", "onnx"});
  expect_ended(with({"--model_export", "onnx"}), 2, {"--model-export", "--export-dir"});
  expect_ended(with({"--data_dir", folder / "none"}), 3, {"none"});
  expect_ended(with({"--export_dir", weights}), 5, {"resnet20.safetensors"});
}

TEST(FreezeJob, OurOwnSpellingComparesAndExports) {
  const TemporaryFolder folder;
  expect_ended(train(folder / "run", {{"--check-freeze", ""}, {"--export-dir", folder / "out"}}), 0,
               {"frozen, with the same scores", "wrote " + folder / "out/resnet20.onnx"});
  nn::save_weights(folder / "w", *nn::find_model("resnet20").build({.num_classes = 10, .seed = 2}));
  expect_ended(run_child("qat_ptq", {"--model", "resnet20", "--weights", folder / "w",
                                     "--check-freeze", "--synthetic-images", "60",
                                     "--calib-batches", "1", "--output", folder / "o.int8"}),
               0, {"frozen, with the same scores"});
  expect_ended(train(folder / "float", {{"--check-freeze", ""}, {"--float-epochs", "2"}}), 2,
               {"--check-freeze", "no epoch of QAT"});
}

TEST(EncodingsJob, QatExportWritesThemForAnInt8FileAndItsCheckpoint) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {{"--export-dir", folder / "out"}}).code, 0);
  const auto qat_export = [&](const std::string& in, const std::vector<std::string>& more) {
    std::vector<std::string> words = {in};
    words.insert(words.end(), more.begin(), more.end());
    return run_child("qat_export", words);
  };
  const std::string want = file_text(folder / "out/resnet20.json"), last = folder / "run/last.int8";
  const Ended ended = qat_export(last, {folder / "a.json", "--json"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(parse_json(ended.out).at("form").as_string(), "encodings");
  ASSERT_EQ(qat_export(newest_checkpoint(folder / "run"), {folder / "b.json"}).code, 0);
  EXPECT_EQ(file_text(folder / "a.json"), want);
  EXPECT_EQ(file_text(folder / "b.json"), want);
  expect_ended(qat_export(last, {folder / "a.json"}), 5, {"exists", "--overwrite"});
  expect_ended(qat_export(last, {folder / "c.json", "--form", "qdq"}), 2, {"--form"});
  expect_ended(qat_export(save_model(folder, "mobilenet_v2", 0.25),
                          {folder / "c.json", "--model", "mobilenetv2", "--width", "0.25",
                           "--num-classes", "10"}),
               2, {"is a float network: no encodings"});
}

TEST(FreezeFault, AnyDifferenceEndsWithNine) {
  Score before;
  before.images = 2;
  before.top1_hits = before.top5_hits = 1;
  before.loss = 0.5;
  before.predictions = {1, 2};
  EXPECT_NO_THROW(require_equal_scores(before, before));
  Score hits = before, loss = before, classes = before;
  hits.top1_hits = 2;
  loss.loss = 0.5000001;
  classes.predictions = {2, 1};
  for (const Score& after : {hits, loss, classes}) {
    try {
      require_equal_scores(before, after);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 9);
      EXPECT_NE(std::string(error.what()).find("when it is frozen"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace stair::apps
