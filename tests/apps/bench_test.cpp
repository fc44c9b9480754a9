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

TEST(BenchJob, TimesTrainingAndInference) {
  const TemporaryFolder folder;
  const Ended ended = run_child("qat_bench", tiny({"--json"}));
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json report = parse_json(ended.out);
  EXPECT_NE(report.at("context").find("cpu"), nullptr);
  const std::vector<std::string> jobs = {"train_float", "train_qat", "infer_float", "infer_int8"};
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

TEST(BenchFault, AnUnknownJobIsNamed) {
  expect_ended(run_child("qat_bench", tiny({"--jobs", "train_flaot"})), 2,
               {"train_flaot", "train_float"});
  expect_ended(run_child("qat_bench", tiny({"--compare", "/none.json"})), 3, {"/none.json"});
}

}  // namespace
}  // namespace stair::apps
