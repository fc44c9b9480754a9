// Runs that cannot start, that diverge, and that are interrupted (rows D16, I01, I02, K19, C01-C05,
// R01, R04, R07).
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "tests/apps/child_program.h"
#include "tests/data/picture_folder.h"

namespace stair::apps {
namespace {

using data::PictureFolder;
using support::TemporaryFolder;

// Two classes of pictures for train and val.
void add_classes(const PictureFolder& pictures) {
  for (const char* split : {"train", "val"})
    for (const char* name : {"ant", "bee"})
      pictures.add_pictures(std::string(split) + "/" + name, split[0] == 't' ? 12 : 4);
}

// Flags that train on the pictures.
Flags on(const PictureFolder& pictures, const Flags& more = {}) {
  Flags flags = more;
  flags.insert({{"--data-path", pictures.path()}, {"--val-resize-size", "16"}});
  return flags;
}

TEST(TrainStartFault, WhatIsMistypedIsNamedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  expect_ended(train(run, {{"--epoch", "3"}}), 2, {"--epoch", "--epochs"});
  expect_ended(train(run, {{"--model", "resnet81"}}), 2, {"resnet81", "resnet18", "mobilenet_v2"});
  expect_ended(train(run, {{"--opt", "adan"}}), 2, {"adan", "adam", "sgd"});
  expect_ended(train(run, {{"--quantizer", "lqs"}}), 2, {"lqs", "lsq", "ste"});
  expect_ended(train(run, {{"--observer", "minmx"}}), 2, {"minmx", "minmax"});
  expect_ended(train(run, {{"--grad-precision", "fp16"}}), 2, {"fp16", "f32, bf16x2, bf16"});
  for (const char* rate : {"nan", "inf", "1e999", "-1"})
    expect_ended(train(run, {{"--lr", rate}}), 2, {"--lr", rate});
  for (const char* size : {"0", "-1", "99999999999", "1.5", "0x10"})
    expect_ended(train(run, {{"--batch-size", size}}), 2, {"--batch-size", size});
  expect_ended(train(run, {{"--num-observer-update-epochs", "0"}}), 2, {"calibrate first"});
  expect_ended(train(run, {{"--data-path", folder / "none/such"}}), 3, {folder.path()});
  EXPECT_TRUE(names_in(run).empty());
}

TEST(TrainStartFault, MoreClassesThanOutputsStopBeforeTheFirstStep) {
  const TemporaryFolder folder;
  expect_ended(train(folder / "run", {{"--num-classes", "7"}}), 2,
               {"10 classes", "7 outputs", "--num-classes", "--reset-head"});
  EXPECT_TRUE(names_in(folder / "run").empty());
}

TEST(TrainStartFault, AFolderWithFilesIsLeftAsItIs) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "run");
  (void)folder.put("run/thesis.txt", "years of work");
  expect_ended(train(folder / "run"), 2, {"--resume auto", "--overwrite"});
  EXPECT_EQ(file_text(folder / "run/thesis.txt"), "years of work");
  EXPECT_EQ(names_in(folder / "run"), std::vector<std::string>{"thesis.txt"});
}

TEST(TrainDataFault, BadPicturesAreReplacedInTrainingAndSummedUp) {
  const PictureFolder pictures;
  add_classes(pictures);
  pictures.write("train/ant/empty.jpg", "");
  pictures.write("train/bee/page.jpg", "<html>not found</html>");
  pictures.write("val/README.txt", "read me");
  const TemporaryFolder folder;
  const Ended ended = train(folder / "run", on(pictures));
  expect_ended(ended, 0, {"2 bad samples replaced", "empty file", "not an image"});
  expect_ended(train(folder / "few", on(pictures, {{"--max-bad-samples", "1"}})), 3,
               {"more than 1 bad samples", "--max-bad-samples"});
  pictures.write("val/ant/empty.jpg", "");
  expect_ended(train(folder / "val", on(pictures)), 3, {"val/ant/empty.jpg", "empty file"});
}

TEST(TrainNumericsFault, AStepThatIsNotFiniteIsNotApplied) {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Flags job = {{"--synthetic-images", "400"}, {"--train-batches", "30"}};
  Flags first = job, second = job;
  first.insert({{"--epochs", "1"}, {"--lr", "0.01"}});
  ASSERT_EQ(train(run, first).code, 0);
  const std::string before = newest_checkpoint(run), bytes = file_text(before);
  // Each step makes the weights 99 times as large.
  second.insert({{"--resume", "auto"}, {"--lr", "100"}, {"--weight-decay", "1"}});
  const Ended ended = train(run, second);
  expect_ended(ended, 8, {"not finite at step", "learning rate", "nonfinite.json", "skip:N"});
  EXPECT_EQ(file_text(before), bytes);
  const Json diagnosis = parse_json(file_text(run + "/nonfinite.json"));
  for (const char* key : {"epoch", "step", "lr", "loss", "first_nonfinite", "samples"})
    EXPECT_NE(diagnosis.find(key), nullptr) << key;
  EXPECT_NE(ended.err.find("first in: " + diagnosis.at("first_nonfinite").as_string()),
            std::string::npos)
      << ended.err;
}

TEST(TrainInterruptFault, OneInterruptSavesTwoLeaveAtOnce) {
  const TemporaryFolder folder;
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string run = folder / std::to_string(signal);
    ChildProgram child("qat_train", tiny_job(run, {{"--train-batches", "6"}}));
    ASSERT_TRUE(child.wait_for("[1/"));
    child.send(signal);
    expect_ended(child.wait(), 128 + signal, {"state saved", "--resume auto", run});
    expect_ended(train(run, {{"--resume", "auto"}, {"--train-batches", "6"}}), 0,
                 {"resuming from"});
  }
  const std::string torn = folder / "torn";
  ChildProgram child("qat_train",
                     tiny_job(torn, {{"--train-batches", "6"}, {"--save-every", "1"}}));
  ASSERT_TRUE(child.wait_for("[2/"));
  child.send(SIGINT);
  child.send(SIGINT);
  EXPECT_EQ(child.wait().code, 130);
  expect_ended(train(torn, {{"--resume", "auto"}, {"--train-batches", "6"}, {"--save-every", "1"}}),
               0, {"resuming from"});
}

}  // namespace
}  // namespace stair::apps
