#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair {
namespace {

using support::FaultyCalls;
using support::TemporaryFolder;

template <class F>
std::string message(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return str(error.exit_code(), " ", error.what());
  }
  return "no error";
}

}  // namespace

TEST(InputFile, ReadsAtAnyPosition) {
  const TemporaryFolder folder;
  write_file(folder / "f", "0123456789");
  const InputFile file(folder / "f", FileUse::model);
  EXPECT_EQ(file.size(), 10U);
  std::string part(4, ' ');
  file.read_at(3, std::as_writable_bytes(std::span(part)));
  EXPECT_EQ(part, "3456");
  EXPECT_EQ(read_file(folder / "f", 10, FileUse::data), "0123456789");
}

TEST(InputFileFault, ErrorsFollowTheUse) {
  const TemporaryFolder folder;
  const std::string path = folder / "none";
  const std::string wanted = " cannot read '" + path + "': open: No such file or directory";
  EXPECT_EQ(message([&] { read_file(path, 1, FileUse::config); }), "2" + wanted);
  EXPECT_EQ(message([&] { read_file(path, 1, FileUse::data); }), "3" + wanted);
  EXPECT_EQ(message([&] { read_file(path, 1, FileUse::model); }), "4" + wanted);
}

TEST(InputFileFault, FoldersAndPipesAreRefusedAtOnce) {
  const TemporaryFolder folder;
  EXPECT_EQ(message([&] { InputFile(folder.path(), FileUse::data); }),
            "3 cannot read '" + folder.path() + "': it is a folder");
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message([&] { InputFile(pipe, FileUse::data); }),
            "3 cannot read '" + pipe + "': it is no regular file");
}

TEST(InputFileFault, TooLargeFilesAreRefusedBeforeAllocation) {
  const TemporaryFolder folder;
  const std::string path = folder / "large";
  write_file(path, "x");
  ASSERT_EQ(::truncate(path.c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(
      message([&] { read_file(path, 1 << 20, FileUse::config); }),
      "2 cannot read '" + path + "': it has 1099511627776 bytes, at most 1048576 are allowed");
}

TEST(InputFileFault, AFileThatShrinksIsAnErrorAndNoSignal) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  write_file(path, std::string(10000, 'x'));
  const InputFile file(path, FileUse::model);
  ASSERT_EQ(::truncate(path.c_str(), 6000), 0);
  std::string all(10000, ' ');
  EXPECT_EQ(message([&] { file.read_at(0, std::as_writable_bytes(std::span(all))); }),
            "4 cannot read '" + path + "': it ends at byte 6000, it had 10000 when it was opened");
}

TEST(InputFileFault, EveryReadErrorSurfacesAndInterruptionsDoNot) {
  const TemporaryFolder folder;
  const std::string path = folder / "f", text(5000, 'x');
  write_file(path, text);
  for (int n = 1; n <= 2; ++n) {
    FaultyCalls broken({.at = n, .error = EIO});
    SystemCallsScope scope(broken);
    EXPECT_EQ(
        message([&] { read_file(path, 5000, FileUse::model); }),
        "4 cannot read '" + path + "': " + (n == 1 ? "open" : "read") + ": Input/output error");
  }
  for (int n = 1; n <= 3; ++n) {
    for (const bool halve : {false, true}) {
      FaultyCalls interrupted({.at = n, .error = halve ? 0 : EINTR, .halve = halve});
      SystemCallsScope scope(interrupted);
      EXPECT_EQ(read_file(path, 5000, FileUse::model), text);
    }
  }
}

TEST(Folders, AreMadeListedAndProbed) {
  const TemporaryFolder folder;
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/d/");
  EXPECT_TRUE(folder_exists(folder / "a/d"));
  write_file(folder / "a/z", "x");
  EXPECT_EQ(list_folder(folder / "a", FileUse::data), (std::vector<std::string>{"b", "d", "z"}));
  probe_writable(folder / "a/b");
  EXPECT_EQ(list_folder(folder / "a/b", FileUse::data), std::vector<std::string>{"c"});
  EXPECT_TRUE(file_exists(folder / "a/z"));
  EXPECT_FALSE(file_exists(folder / "a"));
  EXPECT_FALSE(folder_exists(folder / "a/z"));
  remove_file(folder / "a/z");
  remove_file(folder / "a/z");
  EXPECT_FALSE(file_exists(folder / "a/z"));
}

TEST(FoldersFault, EveryFailureNamesTheFolder) {
  const TemporaryFolder folder;
  write_file(folder / "file", "x");
  EXPECT_EQ(message([&] { make_folders(folder / "file/sub"); }),
            "5 cannot write '" + (folder / "file") + "': mkdir: File exists");
  EXPECT_EQ(message([&] { make_folders(folder / "file"); }),
            "5 cannot write '" + (folder / "file") + "': mkdir: File exists");
  EXPECT_EQ(message([&] { list_folder(folder / "none", FileUse::data); }),
            "3 cannot read '" + (folder / "none") + "': list: No such file or directory");
  for (const int error : support::disk_errors()) {
    bool reached = true;
    for (int n = 1; reached; ++n) {
      FaultyCalls calls({.at = n, .error = error});
      SystemCallsScope scope(calls);
      const std::string made = folder / str("new", error, "-", n);
      const std::string outcome = message([&] { make_folders(made); });
      reached = calls.reached();
      if (reached && n <= 3) {
        EXPECT_TRUE(outcome.starts_with("5 cannot write '")) << outcome;
      }
      if (!reached) {
        EXPECT_TRUE(folder_exists(made));
      }
    }
  }
}

TEST(FoldersFault, AReadOnlyFolderIsFoundByTheProbe) {
  const TemporaryFolder folder;
  FaultyCalls calls({.at = 2, .error = EROFS});
  SystemCallsScope scope(calls);
  try {
    probe_writable(folder.path());
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.what(),
              "cannot write '" + (folder / "probe") + "': open: Read-only file system");
    EXPECT_EQ(error.hint(), "choose a folder that can be written");
  }
}

TEST(Paths, AreCutAtTheLastSlash) {
  EXPECT_EQ(folder_of("a/b/c"), "a/b");
  EXPECT_EQ(folder_of("c"), ".");
  EXPECT_EQ(folder_of("/c"), "/");
  EXPECT_EQ(name_of("a/b/c"), "c");
  EXPECT_EQ(name_of("c"), "c");
  EXPECT_EQ(path_in("a", "b"), "a/b");
  EXPECT_EQ(path_in("a/", "b"), "a/b");
  EXPECT_EQ(path_in("", "b"), "b");
}

}  // namespace stair
