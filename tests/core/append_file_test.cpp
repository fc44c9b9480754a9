#include "core/append_file.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair {
namespace {

using support::FaultyCalls;
using support::TemporaryFolder;

std::string content(const std::string& path) {
  return read_file(path, 1 << 20, FileUse::data);
}

}  // namespace

TEST(AppendFile, AddsWholeLinesToWhatIsThere) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  { AppendFile(path).write_line("a"); }
  AppendFile log(path);
  log.write_line("");
  EXPECT_EQ(content(path), "a\n\n");  // visible while the file is open
  log.write_line("b");
  EXPECT_EQ(content(path), "a\n\nb\n");
  EXPECT_EQ(log.bytes_cut(), 0U);
  EXPECT_THROW(log.write_line("two\nlines"), ConfigError);
}

TEST(AppendFileFault, HalfALastLineIsCut) {
  const TemporaryFolder folder;
  const std::string path = folder / "log";
  const std::string whole = "first\n" + std::string(5000, 'x') + "\n";
  for (const size_t half : {1, 4095, 4096, 4097, 9000}) {
    write_file(path, whole + std::string(half, 'h'));
    AppendFile log(path);
    EXPECT_EQ(log.bytes_cut(), half);
    log.write_line("next");
    EXPECT_EQ(content(path), whole + "next\n");
  }
  write_file(path, "no line end");
  EXPECT_EQ(AppendFile(path).bytes_cut(), 11U);
  EXPECT_EQ(content(path), "");
}

TEST(AppendFileFault, EveryFailingCallLeavesWholeLines) {
  const TemporaryFolder folder;
  const std::string path = folder / "log";
  for (const int error : support::disk_errors()) {
    bool reached = true;
    for (int n = 1; reached; ++n) {
      write_file(path, "old\nhalf");
      FaultyCalls calls({.at = n, .error = error});
      {
        SystemCallsScope scope(calls);
        try {
          AppendFile log(path);
          for (const char* line : {"one", "two"}) {
            try {
              log.write_line(line);
            } catch (const IoError&) {
            }
          }
        } catch (const IoError& failure) {
          EXPECT_NE(std::string(failure.what()).find(path), std::string::npos);
        }
      }
      reached = calls.reached();
      const std::string now = content(path);
      ASSERT_TRUE(now == "old\nhalf" || now == "old\n" || now == "old\none\n" ||
                  now == "old\ntwo\n" || now == "old\none\ntwo\n")
          << n << ": " << now;
    }
  }
}

TEST(AppendFileFault, AHalfWrittenLineIsTakenBack) {
  // Half of the line goes out, then the disk is full; the cut fails too, and is made up for before
  // the next line.
  class FullDisk : public SystemCalls {
   public:
    bool full = false;
    int failing_cuts = 0;
    ssize_t write(int fd, const void* data, size_t size) override {
      if (!full) return SystemCalls::write(fd, data, size);
      if (size > 3) return SystemCalls::write(fd, data, size - 3);
      errno = ENOSPC;
      return -1;
    }
    int ftruncate(int fd, off_t size) override {
      if (failing_cuts-- <= 0) return SystemCalls::ftruncate(fd, size);
      errno = EIO;
      return -1;
    }
  };
  const TemporaryFolder folder;
  FullDisk disk;
  SystemCallsScope scope(disk);
  AppendFile log(folder / "log");
  log.write_line("first");
  for (const int failing_cuts : {0, 1}) {
    disk.full = true;
    disk.failing_cuts = failing_cuts;
    EXPECT_THROW(log.write_line("lost line"), IoError);
    disk.full = false;
    log.write_line("next");
  }
  EXPECT_EQ(content(folder / "log"), "first\nnext\nnext\n");
}

TEST(AppendFileFault, AFolderThatIsMissingIsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "none/log";
  try {
    AppendFile log(path);
    FAIL();
  } catch (const IoError& error) {
    EXPECT_EQ(error.what(), "cannot write '" + path + "': open: No such file or directory");
    EXPECT_EQ(error.hint(), "make the folder first");
  }
}

}  // namespace stair
