// Checkpoints that are cut, damaged or of another run (rows K08-K12, K15, K19), and disks that fill
// up (K03).
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "tests/apps/child_program.h"

namespace stair::apps {
namespace {

using support::TemporaryFolder;

void rewrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A run of one float and one QAT epoch that the cases copy from.
class CheckpointFault : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(train(run_).code, 0); }
  Ended resume(const Flags& changes = {}) const {
    Flags flags = changes;
    flags.insert({{"--resume", "auto"}, {"--epochs", "3"}});
    return train(run_, flags);
  }

  TemporaryFolder folder_;
  std::string run_ = folder_ / "run";
};

TEST_F(CheckpointFault, ACutFileIsNamedAndTheOneBeforeIsTaken) {
  const std::string cut = newest_checkpoint(run_), bytes = file_text(cut);
  for (const size_t size : {bytes.size() - 1, bytes.size() / 2, size_t{4096}, size_t{100}}) {
    rewrite(cut, bytes.substr(0, size));
    const Ended named = train(run_, {{"--resume", cut}, {"--epochs", "3"}});
    expect_ended(named, 4, {"error: ", cut, size > 4096 ? "section" : "cut"});
  }
  const Ended ended = resume({{"--epochs", "2"}});
  expect_ended(ended, 0, {"skipped " + cut, "resuming from " + run_ + "/checkpoint-00000003"});
}

TEST_F(CheckpointFault, WithoutAValidFileTheRunDoesNotStartAnew) {
  for (const std::string& name : names_in(run_))
    if (name.starts_with("checkpoint-")) rewrite(run_ + "/" + name, "STAIRCKP");
  expect_ended(resume(), 4, {"no checkpoint in '" + run_ + "' can be read"});
}

TEST_F(CheckpointFault, AFlippedBitIsFoundWhereverItIs) {
  const std::string path = newest_checkpoint(run_), bytes = file_text(path);
  for (int i = 1; i < 8; ++i) {
    std::string flipped = bytes;
    flipped[bytes.size() / 8 * static_cast<size_t>(i)] ^= 4;
    rewrite(path, flipped);
    expect_ended(train(run_, {{"--resume", path}, {"--epochs", "3"}}), 4, {"checksum of section"});
  }
}

TEST_F(CheckpointFault, AnotherArchitectureIsRefusedWithTenNamesEach) {
  expect_ended(resume({{"--model", "mobilenet_v2"}, {"--width", "0.25"}}), 4,
               {"missing: features.0.0.weight, ", " more\n", "unexpected: ", "hint: "});
}

TEST_F(CheckpointFault, AnotherNumberOfClassesHasItsHint) {
  expect_ended(resume({{"--num-classes", "12"}}), 4,
               {"different: linear.weight is [10,64] f32, model wants [12,64] f32",
                "hint: the number of classes differs", "--reset-head"});
}

TEST_F(CheckpointFault, OtherQuantizationIsShownInTwoColumns) {
  const std::string before = file_text(run_ + "/config.toml");
  expect_ended(resume({{"--wbits", "4"}, {"--quantizer", "lsq"}}), 4,
               {"\n  wbits: checkpoint 8 | this run 4\n",
                "quantizer: checkpoint \"ste\" | this run \"lsq\"", "hint: "});
  EXPECT_EQ(file_text(run_ + "/config.toml"), before);
}

TEST_F(CheckpointFault, OtherLayersThatStayFloatAreNoticed) {
  expect_ended(resume({{"--exclude", "layer2"}}), 4,
               {"\n  exclude: checkpoint \"\" | this run \"layer2\"", "hint: "});
  expect_ended(resume({{"--include", "conv2d"}}), 4,
               {"\n  include: checkpoint \"\" | this run \"conv2d\""});
  expect_ended(resume({{"--preset", "minmax"}}), 4,
               {"\n  preset: checkpoint \"x86\" | this run \"minmax\""});
  const std::string other = folder_ / "other";
  ASSERT_EQ(train(other, {{"--exclude", "layer2"}}).code, 0);
  const Flags again = {{"--resume", "auto"}, {"--epochs", "3"}};
  expect_ended(train(other, again), 4, {"\n  exclude: checkpoint \"layer2\" | this run \"\""});
  Flags same = again;
  same["--exclude"] = "layer2";
  expect_ended(train(other, same), 0, {"resuming from"});
}

TEST_F(CheckpointFault, AnotherPrecisionOfGradientsIsNoticed) {
  expect_ended(resume({{"--grad-precision", "bf16"}}), 4,
               {"grad_precision: checkpoint ", " | this run \"bf16\"", "hint: "});
}

TEST_F(CheckpointFault, AFolderInUseIsNotTouched) {
  const std::vector<std::string> before = names_in(run_);
  expect_ended(train(run_), 2, {"is not empty", "hint: --resume auto", "--overwrite"});
  EXPECT_EQ(names_in(run_), before);
  EXPECT_EQ(train(run_, {{"--overwrite", ""}, {"--epochs", "1"}}).code, 0);
  EXPECT_EQ(metrics_of(run_).size(), 1u);
}

TEST_F(CheckpointFault, WeightsAreNoCheckpoint) {
  const std::string weights = folder_.put("w.safetensors", std::string("\2\0\0\0\0\0\0\0{}", 10));
  expect_ended(train(run_, {{"--resume", weights}, {"--epochs", "3"}}), 4, {"hint: ", "--weights"});
}

TEST_F(CheckpointFault, AFailedLastSaveIsLoudAndKeepsTheOldFile) {
  const std::string old = newest_checkpoint(run_), bytes = file_text(old);
  const Ended ended =
      train(run_, {{"--resume", "auto"}, {"--epochs", "3"}}, {.largest_file = 1 << 20});
  expect_ended(ended, 5, {"error: ", "checkpoint-00000009.stair"});
  EXPECT_EQ(newest_checkpoint(run_), old);
  EXPECT_EQ(file_text(old), bytes);
  for (const std::string& name : names_in(run_)) EXPECT_FALSE(name.ends_with(".tmp")) << name;
  EXPECT_EQ(resume().code, 0);
}

TEST(DiskFault, ThreeFailedSavesEndTheRun) {
  const support::TemporaryFolder folder;
  const Ended ended =
      train(folder / "run", {{"--epochs", "8"}, {"--save-every", "1"}}, {.largest_file = 1 << 20});
  expect_ended(ended, 5, {"warning: ", "training goes on", "error: ", "checkpoint-00000003"});
}

TEST(DiskFault, ARunSurvivesADiskThatIsFullForAWhile) {
  const support::TemporaryFolder folder;
  ChildProgram child("qat_train", tiny_job(folder / "run", {{"--epochs", "3"}}),
                     {.largest_file = 1 << 20});
  ASSERT_TRUE(child.wait_for("warning: "));
  child.lift_limit();
  const Ended ended = child.wait();
  expect_ended(ended, 0, {"training goes on and tries again at the next save"});
  EXPECT_EQ(newest_checkpoint(folder / "run"), folder / "run/checkpoint-00000009.stair");
}

}  // namespace
}  // namespace stair::apps
