#include "apps/program/run_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/file.h"
#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {
namespace {

using Names = std::vector<std::string>;

Names names_in(const std::string& folder) {
  Names names = list_folder(folder, FileUse::data);
  std::erase(names, ".lock");
  return names;
}

std::string text_of(const std::string& path) {
  return read_file(path, 1 << 20, FileUse::data);
}

// "message | hint" of the error, or "taken".
template <class Wanted>
std::string refusal(const RunFolderOptions& options) {
  try {
    RunFolder folder(options);
    return "taken";
  } catch (const Wanted& error) {
    return str(error.what(), " | ", error.hint());
  }
}

RunFolderOptions fresh(const std::string& path) {
  return {path, false, false};
}
RunFolderOptions resumed(const std::string& path) {
  return {path, true, false};
}
RunFolderOptions overwritten(const std::string& path) {
  return {path, false, true};
}

TEST(RunFolder, AMissingFolderIsMadeWithThoseAboveIt) {
  support::TemporaryFolder folder;
  RunFolder run(fresh(folder / "a/b/c"));
  EXPECT_TRUE(folder_exists(folder / "a/b/c"));
  EXPECT_TRUE(run.notes().empty());
}

TEST(RunFolder, ItHoldsWhatRepeatsTheRun) {
  support::TemporaryFolder folder;
  RunFolder run(fresh(folder / "run"));
  run.describe("epochs = 3\n", Json::object().set("stair", "x"), "qat_train",
               {"--data-path", "it's a\nset", "--lr=0.1", ""});
  EXPECT_EQ(names_in(run.path()), (Names{"command.txt", "config.toml", "env.json"}));
  EXPECT_EQ(text_of(run.file("config.toml")), "epochs = 3\n");
  EXPECT_EQ(parse_json(text_of(run.file("env.json"))).at("stair").as_string(), "x");
  EXPECT_EQ(text_of(run.file("command.txt")),
            "qat_train --data-path $'it\\'s a\\x0aset' --lr=0.1 $''\n");
}

TEST(RunFolder, ARemovedFolderIsMadeAgain) {
  support::TemporaryFolder folder;
  RunFolder run(fresh(folder / "run"));
  remove_file(run.file(".lock"));
  ASSERT_EQ(rmdir(run.path().c_str()), 0);
  run.restore();
  EXPECT_TRUE(folder_exists(run.path()));
}

TEST(RunFolderFault, AFolderThatIsNotEmptyIsRefusedAndNothingIsDeleted) {
  support::TemporaryFolder folder;
  folder.put("checkpoint-1.stair", "old");
  folder.put(".x.1-1.tmp", "half");
  EXPECT_EQ(refusal<ConfigError>(fresh(folder.path())),
            "output folder '" + folder.path() +
                "' is not empty, it holds 'checkpoint-1.stair' | --resume auto goes on with it, "
                "--overwrite replaces it");
  EXPECT_EQ(names_in(folder.path()), (Names{".x.1-1.tmp", "checkpoint-1.stair"}));
}

TEST(RunFolderFault, ResumingKeepsEverythingEvenWithOverwrite) {
  support::TemporaryFolder folder;
  folder.put("checkpoint-1.stair", "old");
  folder.put("metrics.jsonl", "{}\n");
  RunFolder run({folder.path(), true, true});
  EXPECT_EQ(names_in(folder.path()), (Names{"checkpoint-1.stair", "metrics.jsonl"}));
}

TEST(RunFolderFault, OverwritingRemovesOnlyTheFilesOfARun) {
  support::TemporaryFolder folder;
  for (const char* name : {"checkpoint-1.stair", "checkpoint-x.stair", "metrics.jsonl",
                           "last.stair", "config.toml", "my notes.txt", "lastly.txt"})
    folder.put(name, "x");
  RunFolder run(overwritten(folder.path()));
  EXPECT_EQ(names_in(folder.path()), (Names{"checkpoint-x.stair", "lastly.txt", "my notes.txt"}));
}

TEST(RunFolderFault, TemporariesOfAKilledSaveAreRemovedWithALine) {
  support::TemporaryFolder folder;
  folder.put(".checkpoint-2.stair.999999999-1.tmp", "half");
  RunFolder run(fresh(folder.path()));
  EXPECT_TRUE(names_in(folder.path()).empty());
  ASSERT_EQ(run.notes().size(), 1U);
  EXPECT_EQ(run.notes()[0],
            "removed 1 temporary files of a save that was killed: "
            ".checkpoint-2.stair.999999999-1.tmp");
}

TEST(RunFolderFault, AFileInThePlaceOfTheFolderIsRefused) {
  support::TemporaryFolder folder;
  const std::string file = folder.put("run", "x");
  EXPECT_EQ(refusal<ConfigError>(fresh(file)),
            "output '" + file + "' is a file | a folder is needed");
  EXPECT_NE(refusal<IoError>(fresh(file + "/below")), "taken");
}

TEST(RunFolderFault, AFolderThatCannotBeWrittenIsFoundAtTheStart) {
  support::TemporaryFolder folder;
  make_folders(folder / "run");
  support::FaultyCalls calls({.at = 1, .error = EROFS, .stays = true});
  SystemCallsScope scope(calls);
  EXPECT_NE(refusal<IoError>(fresh(folder / "run")).find("choose a folder that can be written"),
            std::string::npos);
}

TEST(RunFolderFault, ASecondRunIsToldWhoHasTheFolder) {
  support::TemporaryFolder folder;
  RunFolder run(fresh(folder / "run"));
  const std::string said = refusal<IoError>(resumed(folder / "run"));
  EXPECT_NE(said.find(str("in use by process ", getpid(), " on ")), std::string::npos) << said;
}

TEST(RunFolderFault, TheLockOfADeadProcessIsFree) {
  support::TemporaryFolder folder;
  const std::string path = folder / "run";
  const int status = support::run_in_child([&] {
    RunFolder run(fresh(path));
    _exit(5);
  });
  EXPECT_EQ(status, 5);
  EXPECT_TRUE(file_exists(path + "/.lock"));
  EXPECT_EQ(refusal<IoError>(fresh(path)), "taken");
}

bool valid(const std::string& path) {
  return text_of(path) == "good";
}

TEST(RunFolder, CheckpointsAreOrderedByNumber) {
  support::TemporaryFolder folder;
  for (const char* name : {"checkpoint-9.stair", "checkpoint-10.stair", "checkpoint-.stair",
                           "checkpoint-3", "checkpoint--4.stair", "best.stair"})
    folder.put(name, "good");
  EXPECT_EQ(numbered_checkpoints(folder.path()),
            (Names{folder / "checkpoint-10.stair", folder / "checkpoint-9.stair"}));
}

TEST(RunFolderFault, OldCheckpointsGoOnlyAfterAValidNewOne) {
  support::TemporaryFolder folder;
  for (int i = 1; i <= 4; ++i) folder.put(str("checkpoint-", i, ".stair"), "good");
  const std::string newest = folder.put("checkpoint-5.stair", "bad");
  EXPECT_TRUE(prune_checkpoints(folder.path(), 2, valid).empty());
  EXPECT_EQ(names_in(folder.path()).size(), 5U);
  folder.put("checkpoint-5.stair", "good");
  EXPECT_EQ(prune_checkpoints(folder.path(), 2, valid).size(), 3U);
  EXPECT_EQ(names_in(folder.path()), (Names{"checkpoint-4.stair", "checkpoint-5.stair"}));
  EXPECT_EQ(prune_checkpoints(folder.path(), 0, valid).size(), 1U) << "one always stays";
  EXPECT_TRUE(file_exists(newest));
}

}  // namespace
}  // namespace stair::apps
