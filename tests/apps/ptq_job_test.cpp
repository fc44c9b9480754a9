// qat_ptq: the whole job on drawn pictures and on real ones.
#include <gtest/gtest.h>

#include "tests/apps/child_program.h"
#include "tests/support/real_files.h"

namespace stair::apps {
namespace {

using support::real_pictures;
using support::shared_file;
using support::TemporaryFolder;

std::vector<std::string> small_job(const std::string& output) {
  return {"--model",         "resnet20", "--synthetic-images", "40",   "--batch-size", "8",
          "--calib-batches", "2",        "--output",           output, "--json"};
}

TEST(PtqJob, WritesAFileThatScoresAsItSaid) {
  const TemporaryFolder folder;
  const Ended ended = run_child("qat_ptq", small_job(folder / "model.int8"));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json result = parse_json(ended.out);
  EXPECT_EQ(result.at("calibration_images").as_int(), 16);
  EXPECT_LT(result.at("int8_bytes").as_double(), 0.4 * result.at("float_bytes").as_double());
  const Ended scored =
      run_child("qat_eval", {folder / "model.int8", "--synthetic-images", "40", "--json"});
  ASSERT_EQ(scored.code, 0) << scored.err;
  EXPECT_EQ(parse_json(scored.out).at("top1").as_double(), result.at("int8_top1").as_double());
  EXPECT_EQ(parse_json(scored.out).at("bytes").as_int(), result.at("int8_bytes").as_int());
}

TEST(PtqJob, EveryStepCanBeAskedFor) {
  const TemporaryFolder folder;
  std::vector<std::string> flags = small_job(folder / "model.int8");
  for (const char* flag : {"--preset", "qnnpack", "--observer", "mse", "--wbits", "4", "--equalize",
                           "--absorb-biases", "--bias-correction", "--bn-batches", "1",
                           "--adaround", "--adaround-iterations", "3", "--float-output"})
    flags.emplace_back(flag);
  flags.push_back(folder / "equalized.safetensors");
  const Ended ended = run_child("qat_ptq", flags);
  expect_ended(ended, 0,
               {"equalized", "absorbed", "calibrated on 16", "adaround layer1.0.conv1: error",
                "rounded the weights of 20 layers", "corrected the biases"});
  const Ended trained =
      run_child("qat_train", {"--weights", folder / "equalized.safetensors", "--preset", "qnnpack",
                              "--epochs", "1", "--train-batches", "2", "--synthetic-images", "40",
                              "--batch-size", "8", "--output-dir", folder / "run"});
  EXPECT_EQ(trained.code, 0) << trained.err;
}

TEST(PtqJobFault, ExcludedAndUnknownLayersAreNamed) {
  const TemporaryFolder folder;
  std::vector<std::string> flags = small_job(folder / "model.int8");
  flags.insert(flags.end(), {"--exclude", "layer3.0.conv1,linear"});
  flags.emplace_back("--strict");
  expect_ended(run_child("qat_ptq", flags), 2, {"linear", "excluded by 'linear'"});
  flags = small_job(folder / "model.int8");
  flags.insert(flags.end(), {"--include", "layr1"});
  expect_ended(run_child("qat_ptq", flags), 2, {"'layr1'", "'layer1'"});
}

TEST(PtqJobFault, WrongNamesAndMissedGates) {
  const TemporaryFolder folder;
  std::vector<std::string> flags = small_job(folder / "model.int8");
  flags.insert(flags.end(), {"--preset", "x68"});
  expect_ended(run_child("qat_ptq", flags), 2, {"x86"});
  flags.back() = "x86";
  flags.insert(flags.end(), {"--min-top1", "100"});
  expect_ended(run_child("qat_ptq", flags), 9, {"is below --min-top1"});
}

double int8_top1(const Ended& ended) {
  EXPECT_EQ(ended.code, 0) << ended.err;
  return ended.code == 0 ? parse_json(ended.out).at("int8_top1").as_double() : -1;
}

TEST(PtqJobSlow, PhotographsKeepTheirScoresPerChannelAndEqualized) {
  const TemporaryFolder folder;
  const Photographs set = photographs();
  if (set.weights.empty()) GTEST_SKIP() << kNeedsPhotographs;
  const auto top1 = [&](const std::vector<std::string>& more) {
    return int8_top1(ptq_photographs(set, folder / "model.int8", more));
  };
  EXPECT_GE(top1({"--preset", "x86"}), 85.4);
  EXPECT_LT(top1({"--preset", "minmax"}), 20);
  EXPECT_GT(top1({"--preset", "qnnpack", "--equalize", "--bias-correction"}), 85);
}

TEST(PtqJobSlow, LearnedRoundingGivesFourBitWeightsTheirScoreBack) {
  const TemporaryFolder folder;
  const std::string weights = shared_file("models/resnet20.safetensors");
  const std::string pictures = real_pictures("cifar10");
  if (weights.empty() || pictures.empty())
    GTEST_SKIP() << "needs models/ in STAIR_SHARED, cifar10 in STAIR_IMAGES";
  std::vector<std::string> flags = {"--weights",
                                    weights,
                                    "--model",
                                    "resnet20",
                                    "--data-path",
                                    pictures,
                                    "--val-dir",
                                    "test",
                                    "--wbits",
                                    "4",
                                    "--val-resize-size",
                                    "0",
                                    "--output",
                                    folder / "model",
                                    "--val-crop-size",
                                    "32",
                                    "--json",
                                    "--eval-batches",
                                    "16",
                                    "--calib-batches",
                                    "16"};
  const double nearest = int8_top1(run_child("qat_ptq", flags));
  flags.insert(flags.end(), {"--adaround", "--adaround-iterations", "300"});
  EXPECT_GT(int8_top1(run_child("qat_ptq", flags)), nearest + 4);
}

}  // namespace
}  // namespace stair::apps
