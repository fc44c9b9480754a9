// The same bits whatever the threads, and whatever stops a run in between (row K16).
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/random.h"
#include "tests/apps/child_program.h"

namespace stair::apps {

namespace {

using support::TemporaryFolder;

void expect_same_metrics(const std::string& got, const std::string& want) {
  const std::vector<Json> records = exact_metrics_of(want);
  EXPECT_GE(records.size(), 2u);
  EXPECT_EQ(exact_metrics_of(got).size(), records.size());
  EXPECT_TRUE(std::ranges::equal(exact_metrics_of(got), records))
      << file_text(got + "/metrics.jsonl") << "instead of\n"
      << file_text(want + "/metrics.jsonl");
}

Flags with(Flags flags, const Flags& more) {
  flags.insert(more.begin(), more.end());
  return flags;
}

TEST(TrainExact, ThreadsAndWorkersDoNotChangeTheResult) {
  const TemporaryFolder folder;
  for (const Flags& job : {Flags{}, Flags{{"--model", "mobilenet_v2"}, {"--width", "0.25"}},
                           Flags{{"--quantizer", "lsq"}}, Flags{{"--grad-precision", "bf16"}},
                           Flags{{"--grad-precision", "bf16x2"}}}) {
    const std::string one = folder / "one", two = folder / "two";
    for (const std::string& run : {one, two}) std::filesystem::remove_all(run);
    ASSERT_EQ(train(one, job).code, 0);
    ASSERT_EQ(train(two, with({{"--threads", "2"}, {"--workers", "2"}}, job)).code, 0);
    expect_same_metrics(two, one);
  }
}

TEST(TrainExact, RecomputationChangesNoBit) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "kept").code, 0);
  ASSERT_EQ(train(folder / "remade", {{"--recompute", ""}}).code, 0);
  expect_same_metrics(folder / "remade", folder / "kept");
}

TEST(TrainExact, AnotherSeedIsAnotherRun) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "a").code, 0);
  ASSERT_EQ(train(folder / "b", {{"--seed", "43"}}).code, 0);
  EXPECT_NE(metrics_of(folder / "a").at(0).at("state_hash").as_string(),
            metrics_of(folder / "b").at(0).at("state_hash").as_string());
}

// Stops the run by SIGINT when it prints the text, goes on, and compares with an undisturbed run.
void expect_same_after_a_stop_at(const std::string& text, const Flags& job) {
  SCOPED_TRACE(text);
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "whole", job).code, 0);
  ChildProgram child("qat_train", tiny_job(folder / "parts", job));
  ASSERT_TRUE(child.wait_for(text));
  child.send(SIGINT);
  const Ended stopped = child.wait();
  ASSERT_EQ(stopped.code, 130) << stopped.err;
  const Ended ended = train(folder / "parts", with({{"--resume", "auto"}}, job));
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.err.find("resuming from"), std::string::npos);
  expect_same_metrics(folder / "parts", folder / "whole");
}

TEST(TrainExact, AStopInsideAnEpochChangesNothing) {
  expect_same_after_a_stop_at("float epoch 1/2  [1/", {{"--train-batches", "5"}});
  expect_same_after_a_stop_at("qat   epoch 2/2  [2/", {{"--train-batches", "5"}});
}

TEST(TrainExact, AStopChangesNothingWithDropout) {
  expect_same_after_a_stop_at(
      "qat   epoch 2/2  [1/",
      {{"--model", "mobilenet_v2"}, {"--width", "0.25"}, {"--train-batches", "4"}});
}

TEST(TrainExact, AStopChangesNothingWithLearnedStepSizesAndAdam) {
  expect_same_after_a_stop_at(
      "qat   epoch 2/2  [2/",
      {{"--quantizer", "lsq"}, {"--opt", "adamw"}, {"--lr", "0.001"}, {"--train-batches", "4"}});
}

TEST(TrainExact, AStopChangesNothingWithBf16Gradients) {
  expect_same_after_a_stop_at("qat   epoch 2/2  [2/",
                              {{"--grad-precision", "bf16"}, {"--train-batches", "4"}});
}

TEST(TrainExact, EachPrecisionOfGradientsIsAnotherRun) {
  const TemporaryFolder folder;
  std::vector<std::string> hashes;
  for (const char* precision : {"f32", "bf16x2", "bf16"}) {
    ASSERT_EQ(train(folder / precision, {{"--grad-precision", precision}}).code, 0);
    hashes.push_back(metrics_of(folder / precision).back().at("state_hash").as_string());
  }
  EXPECT_NE(hashes[0], hashes[1]);
  EXPECT_NE(hashes[0], hashes[2]);
  EXPECT_NE(hashes[1], hashes[2]);
}

TEST(TrainExact, TwoHalvesAreAWhole) {
  const TemporaryFolder folder;
  // A schedule that does not look at the number of epochs.
  const Flags job = {{"--lr-scheduler", "constant"}, {"--convert-every", "1"}, {"--epochs", "3"}};
  ASSERT_EQ(train(folder / "whole", job).code, 0);
  ASSERT_EQ(train(folder / "parts", with({{"--epochs", "2"}}, job)).code, 0);
  ASSERT_EQ(train(folder / "parts", with({{"--resume", "auto"}}, job)).code, 0);
  expect_same_metrics(folder / "parts", folder / "whole");
}

// Kills the run at moments drawn from `seed` until it gets through.
void expect_same_after_kills(int kills, uint64_t seed, const Flags& job) {
  const TemporaryFolder folder;
  const std::string parts = folder / "parts";
  ASSERT_EQ(train(folder / "whole", job).code, 0);
  Random random(seed, 0);
  for (int i = 0; i < kills; ++i) {
    ChildProgram child("qat_train", tiny_job(parts, with({{"--resume", "auto"}}, job)));
    if (!child.wait_for("img/s")) break;  // it went through
    ::usleep(static_cast<useconds_t>(random.uniform() * 150e3F));
    child.send(SIGKILL);
    const Ended killed = child.wait();
    ASSERT_TRUE(killed.signal == SIGKILL || killed.code == 0) << killed.err;
  }
  const Ended ended = train(parts, with({{"--resume", "auto"}}, job));
  ASSERT_EQ(ended.code, 0) << ended.err;
  expect_same_metrics(parts, folder / "whole");
  for (const std::string& name : names_in(parts)) EXPECT_FALSE(name.ends_with(".tmp")) << name;
}

TEST(TrainKillExact, AKillChangesNothing) {
  expect_same_after_kills(1, 1, {{"--save-every", "1"}});
}

TEST(TrainKillSlow, ManyKillsChangeNothing) {
  expect_same_after_kills(8, 2, {{"--save-every", "1"}, {"--epochs", "6"}});
  expect_same_after_kills(4, 3,
                          {{"--save-every", "2"},
                           {"--epochs", "4"},
                           {"--model", "mobilenet_v2"},
                           {"--width", "0.25"},
                           {"--workers", "2"}});
}

TEST(TrainKillExact, WhatAKilledSaveLeftIsRemovedWithALine) {
  const TemporaryFolder folder;
  ASSERT_EQ(train(folder / "run", {{"--epochs", "1"}}).code, 0);
  // No process has this number: the largest is 4194304.
  const std::string stale = ".checkpoint-00000006.stair.4194999-0.tmp";
  (void)folder.put("run/" + stale, "half a save");
  const Ended ended = train(folder / "run", {{"--resume", "auto"}});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_NE(ended.err.find("removed 1 temporary files"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find(stale), std::string::npos) << ended.err;
  EXPECT_FALSE(std::ranges::count(names_in(folder / "run"), stale));
}

}  // namespace
}  // namespace stair::apps
