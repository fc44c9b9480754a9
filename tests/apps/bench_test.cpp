// qat_bench as a user starts it.
#include <gtest/gtest.h>

#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

std::vector<std::string> tiny(std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"--model", "resnet20", "-b",       "2", "--size",    "16",
                                    "--reps",  "2",        "--warmup", "1", "--threads", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(BenchJob, TimesTrainingInferenceAndCalibration) {
  const TemporaryFolder folder;
  const Ended ended = run_child("qat_bench", tiny({"--json"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json report = parse_json(ended.out);
  EXPECT_NE(report.at("context").find("cpu"), nullptr);
  const std::vector<std::string> jobs = {"train_float", "train_qat", "infer_float", "infer_int8",
                                         "calibrate"};
  ASSERT_EQ(report.at("benchmarks").as_array().size(), jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Json& b = report.at("benchmarks").at(i);
    EXPECT_EQ(b.at("name").as_string(), "resnet20/" + jobs[i] + "/batch:2/threads:1");
    EXPECT_EQ(b.at("iterations").as_int(), 2);
    EXPECT_EQ(b.at("time_unit").as_string(), "ms");
    EXPECT_GT(b.at("items_per_second").as_double(), 0);
    EXPECT_LE(b.at("min_ms").as_double(), b.at("real_time").as_double());
    EXPECT_LE(b.at("real_time").as_double(), b.at("p99_ms").as_double());
    EXPECT_GT(b.at("peak_tensor_bytes").as_int(), 2 * 16 * 16 * 3 * 4);
  }
  const std::string before = folder.put("before.json", ended.out);
  const Ended compared =
      run_child("qat_bench", tiny({"--jobs", "infer_int8", "--compare", before}));
  EXPECT_EQ(compared.code, 0) << compared.err;
  EXPECT_NE(compared.out.find("x of before"), std::string::npos) << compared.out;
}

TEST(BenchJob, LayersAndMemoryOfAStep) {
  const Ended ended = run_child(
      "qat_bench", tiny({"--json", "--layers", "--pin", "--jobs", "train_qat,infer_int8"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json report = parse_json(ended.out);
  EXPECT_GE(report.at("peaks").as_array().size(), 3U);
  for (const Json& peak : report.at("peaks").as_array())
    EXPECT_GT(peak.at("value").as_double(), 0) << peak.at("name").as_string();
  for (const Json& b : report.at("benchmarks").as_array()) {
    const bool training = b.at("name").as_string().find("train") != std::string::npos;
    size_t multiplying = 0, backwards = 0;
    for (const Json& layer : b.at("layers").as_array()) {
      EXPECT_GE(layer.at("forward_ms").as_double(), 0);
      multiplying += layer.at("rate_of").as_string() == "operations" ? 1 : 0;
      backwards += layer.at("backward_giga_per_second").as_double() > 0 ? 1 : 0;
    }
    EXPECT_EQ(multiplying, 20U);  // 19 convolutions and a linear layer
    EXPECT_EQ(backwards, training ? 20U : 0U);
    const Json& memory = b.at("memory");
    int64_t sum = 0;
    for (const auto& [kind, bytes] : memory.at("by_kind").as_object()) sum += bytes.as_int();
    EXPECT_EQ(sum, memory.at("peak_bytes").as_int());
    if (training) {
      EXPECT_GE(memory.at("by_kind").at("parameters").as_int(), 4 * 270'000);
      EXPECT_GE(memory.at("by_kind").at("optimizer state").as_int(), 4 * 270'000);
    }
  }
}

TEST(BenchJob, TablesArePrinted) {
  const Ended ended = run_child("qat_bench", tiny({"--layers", "--memory-report", "--peak",
                                                   "--recompute", "--jobs", "train_float"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  for (const char* text : {"triad in memory", "img/s", "optimizer state", "outside the layers"})
    EXPECT_NE(ended.out.find(text), std::string::npos) << text << " in\n" << ended.out;
}

TEST(BenchFault, AnUnknownJobIsNamed) {
  expect_ended(run_child("qat_bench", tiny({"--jobs", "train_flaot"})), 2,
               {"train_flaot", "train_float"});
  expect_ended(run_child("qat_bench", tiny({"--compare", "/none.json"})), 3, {"/none.json"});
}

}  // namespace
}  // namespace stair::apps
