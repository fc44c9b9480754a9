// The switches for training below 8 bits: each trains, shows in the records, and resumes.
#include <gtest/gtest.h>

#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

Flags low_bits() {
  return {{"--wbits", "3"},        {"--abits", "4"},        {"--quantizer", "lsq"},
          {"--epochs", "5"},       {"--float-epochs", "1"}, {"--num-observer-update-epochs", "4"},
          {"--convert-every", "1"}};
}

Flags all_switches() {
  Flags flags = low_bits();
  flags.insert({{"--distill", "0.5"},
                {"--weight-mean", "0.8"},
                {"--dampening", "0.1"},
                {"--freeze-oscillations", "0.01"},
                {"--quant-delay", "2"},
                {"--progressive-bits", "6"},
                {"--scale-lr-factor", "0.5"},
                {"--scale-weight-decay", "0.001"},
                {"--scale-init", "mse"}});
  return flags;
}

TEST(TrainLowBit, EverySwitchTrainsAndShowsInTheRecords) {
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", all_switches());
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.err.find("weights 6 bits, activations 6 bits"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("weights 3 bits, activations 4 bits"), std::string::npos) << ended.err;
  const Json last = metrics_of(folder / "run").back();
  EXPECT_GE(last.at("oscillating").as_double(), 0);
  EXPECT_GE(last.at("frozen").as_double(), 0);
}

TEST(TrainLowBit, EachSwitchChangesTheRun) {
  const TemporaryFolder folder;
  const auto hash_of = [&](const Flags& flags, const char* name) {
    const Ended ended = train(folder / name, flags);
    EXPECT_EQ(ended.code, 0) << ended.err;
    return metrics_of(folder / name).back().at("state_hash").as_string();
  };
  Flags plain = low_bits();
  plain["--epochs"] = "2";
  const std::string without = hash_of(plain, "plain");
  int run = 0;
  for (const auto& [flag, value] : Flags{{"--distill", "0.5"},
                                         {"--dampening", "1"},
                                         {"--scale-lr-factor", "0"},
                                         {"--scale-init", "mse"},
                                         {"--quant-delay", "1"}}) {
    Flags one = plain;
    one[flag] = value;
    EXPECT_NE(hash_of(one, ("run" + std::to_string(run++)).c_str()), without) << flag;
  }
}

// Stopped at the end of epochs of each stage, a run goes on with the same bits.
TEST(TrainLowBit, ResumesWithTheSameBits) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "whole", all_switches()).code, 0);
  Flags flags = all_switches();
  const std::string expected = metrics_of(folder / "whole").back().at("state_hash").as_string();
  flags["--save-every"] = "1";
  flags["--checkpoint-hist"] = "100";
  ASSERT_EQ(train(folder / "saved", flags).code, 0);
  for (const char* step : {"00000005", "00000009", "00000011"}) {
    Flags resumed = all_switches();
    resumed["--resume"] = folder / (std::string("saved/checkpoint-") + step + ".stair");
    const Ended ended = train(folder / (std::string("from-") + step), resumed);
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_EQ(
        metrics_of(folder / (std::string("from-") + step)).back().at("state_hash").as_string(),
        expected)
        << step;
  }
}

TEST(TrainLowBitFault, WrongBitsOfStagesSaySo) {
  const TemporaryFolder folder;
  expect_ended(train(folder / "run", {{"--progressive-bits", "9"}}), 2, {"from 2 to 8"});
  expect_ended(train(folder / "run", {{"--quantizer", "lsq"}, {"--scale-init", "median"}}), 2,
               {"mean, mse"});
}

}  // namespace
}  // namespace stair::apps
