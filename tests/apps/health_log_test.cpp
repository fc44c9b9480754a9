// Saturation, drift of scales and oscillation in the records of a run.
#include "apps/train/health_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

TEST(HealthLog, EveryEpochOnIntegersRecordsItsLayers) {
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", {{"--epochs", "4"},
                                             {"--wbits", "4"},
                                             {"--lr", "0.5"},
                                             {"--track-oscillations", ""},
                                             {"--num-observer-update-epochs", "2"}});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.err.find("worst layers:  saturated "), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("scale moved "), std::string::npos) << ended.err;
  const std::vector<Json> records = metrics_of(folder / "run");
  ASSERT_EQ(records.size(), 4U);
  EXPECT_EQ(records[0].find("layers"), nullptr);
  for (size_t epoch = 1; epoch < 4; ++epoch) {
    const Json& layer = records[epoch].at("layers").at("layer1.0.conv1");
    for (const char* share : {"saturation", "weight_saturation", "oscillating"}) {
      EXPECT_GE(layer.at(share).as_double(), 0) << share;
      EXPECT_LE(layer.at(share).as_double(), 1) << share;
    }
    EXPECT_NE(layer.at("weight_scale_drift").as_double(), 1);
    EXPECT_EQ(records[epoch].at("layers").at("input").find("weight_saturation"), nullptr);
    // The first layer keeps 8 bits, whose oscillation is not followed.
    EXPECT_EQ(records[epoch].at("layers").at("conv1").find("oscillating"), nullptr);
  }
  // Observers are frozen from the third epoch on, so scales of activations stand still.
  EXPECT_EQ(records[2].at("layers").at("layer1.0.conv1").at("scale_drift").as_double(),
            records[3].at("layers").at("layer1.0.conv1").at("scale_drift").as_double());
}

TEST(HealthLogExact, AResumedRunDriftsFromTheSameStart) {
  const TemporaryFolder folder;
  const Flags flags = {{"--epochs", "3"}, {"--save-every", "1"}, {"--checkpoint-hist", "99"}};
  ASSERT_EQ(train(folder / "whole", flags).code, 0);
  Flags resumed = flags;
  resumed["--resume"] = folder / "whole/checkpoint-00000005.stair";
  ASSERT_EQ(train(folder / "resumed", resumed).code, 0);
  const Json whole = metrics_of(folder / "whole").back(),
             again = metrics_of(folder / "resumed").back();
  EXPECT_EQ(whole.at("layers").dump(), again.at("layers").dump());
  EXPECT_NE(whole.at("layers").at("layer1.0.conv1").at("scale_drift").as_double(), 1);
}

TEST(HealthLog, WithoutAStartNothingDrifts) {
  HealthLog log;
  EXPECT_FALSE(log.started());
  EXPECT_EQ(log.line(), "");
  EXPECT_EQ(log.to_json().size(), 0U);
  const std::vector<NamedTensor> state = {{"scales/conv1", Tensor::from<double>({0.5, 0}, {2})},
                                          {"steps", Tensor::full<int64_t>({1}, 3)}};
  log.load_state(state);
  EXPECT_TRUE(log.started());
  ASSERT_EQ(log.state().size(), 1U);
  EXPECT_EQ(log.state()[0].tensor.data<double>()[0], 0.5);
}

}  // namespace
}  // namespace stair::apps
