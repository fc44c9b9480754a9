#include "core/atomic_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "core/file.h"
#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair {
namespace {

using support::disk_errors;
using support::Fault;
using support::FaultyCalls;
using support::TemporaryFolder;

const std::string kOld = "the old content";
const std::string kNew = std::string(5000, 'n') + "the new content";

std::string content(const std::string& path) {
  return read_file(path, 1 << 20, FileUse::data);
}

void save(const std::string& path) {
  AtomicFile file(path);
  file.write(std::string_view(kNew).substr(0, 3000));
  file.write(std::string_view(kNew).substr(3000));
  file.commit();
}

std::string save_message(const std::string& path, Fault fault) {
  FaultyCalls calls(fault);
  SystemCallsScope scope(calls);
  try {
    save(path);
  } catch (const IoError& error) {
    EXPECT_EQ(error.exit_code(), 5);
    return error.what();
  }
  return calls.reached() ? "saved" : "";
}

// Writes down the calls of a save; descriptors by the name of their file.
class Recorder : public SystemCalls {
 public:
  std::vector<std::string> log;

  int open(const char* path, int flags, mode_t mode) override {
    const int fd = SystemCalls::open(path, flags, mode);
    names_[fd] = folder_exists(path) ? "folder" : "temporary";
    return note("open", fd, fd);
  }
  ssize_t write(int fd, const void* data, size_t size) override {
    return note("write", fd, SystemCalls::write(fd, data, size));
  }
  int fsync(int fd) override { return note("fsync", fd, SystemCalls::fsync(fd)); }
  int close(int fd) override { return note("close", fd, SystemCalls::close(fd)); }
  int rename(const char* from, const char* to) override {
    log.push_back("rename");
    return SystemCalls::rename(from, to);
  }

 private:
  template <class T>
  T note(const char* call, int fd, T result) {
    log.push_back(std::string(call) + " " + names_[fd]);
    return result;
  }
  std::map<int, std::string> names_;
};

}  // namespace

TEST(AtomicFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  AtomicFile file(path);
  file.write("abc");
  file.pad_to(8);
  file.pad_to(8);
  file.write("d");
  file.pad_to(512);
  EXPECT_EQ(file.position(), 512U);
  EXPECT_FALSE(file_exists(path));
  EXPECT_EQ(list_folder(folder.path(), FileUse::data).size(), 1U);
  file.commit();
  EXPECT_EQ(content(path), std::string("abc\0\0\0\0\0d", 9) + std::string(503, '\0'));
  EXPECT_EQ(list_folder(folder.path(), FileUse::data), std::vector<std::string>{"f"});
}

TEST(AtomicFile, IsRemovedWhenNotCommitted) {
  const TemporaryFolder folder;
  write_file(folder / "f", kOld);
  { AtomicFile(folder / "f").write("half"); }
  EXPECT_EQ(content(folder / "f"), kOld);
  EXPECT_EQ(list_folder(folder.path(), FileUse::data).size(), 1U);
}

TEST(AtomicFile, VeryLongNamesFit) {
  const TemporaryFolder folder;
  const std::string name(255, 'n');
  write_file(folder / name, kNew);
  EXPECT_EQ(content(folder / name), kNew);
}

TEST(AtomicFile, RelativeNamesWork) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file("f", kNew);
  std::filesystem::current_path(before);
  EXPECT_EQ(content(folder / "f"), kNew);
}

TEST(AtomicFileFault, EveryFailingCallLeavesTheOldFileWhole) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  for (const bool stays : {false, true}) {
    for (const int error : disk_errors()) {
      std::string message = "first";
      int n = 0;
      while (!message.empty()) {
        write_file(path, kOld);
        message = save_message(path, {.at = ++n, .error = error, .stays = stays});
        const bool replaced = message.empty() || message == "saved" ||
                              message.find("fsync of the folder") != message.npos;
        ASSERT_EQ(content(path), replaced ? kNew : kOld) << "call " << n << ": " << message;
        ASSERT_EQ(list_folder(folder.path(), FileUse::data).size(), 1U) << "call " << n;
      }
      ASSERT_GT(n, 8);  // open twice, write twice, fsync, close, rename, fsync of the folder
    }
  }
}

TEST(AtomicFileFault, InterruptionsAndShortWritesAreNoFailures) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  for (const bool halve : {false, true}) {
    std::string message = "saved";
    for (int n = 1; message == "saved"; ++n) {
      write_file(path, kOld);
      message = save_message(path, {.at = n, .error = halve ? 0 : EINTR, .halve = halve});
      ASSERT_EQ(content(path), kNew) << "call " << n;
    }
    EXPECT_EQ(message, "");
  }
}

TEST(AtomicFileFault, AProcessThatDiesLeavesTheOldOrTheNewFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  bool old_seen = false, new_seen = false, left_over_seen = false;
  int status = support::kDied;
  for (int n = 1; status == support::kDied; ++n) {
    write_file(path, kOld);
    status = support::run_in_child([&] {
      FaultyCalls calls({.at = n, .die = true});
      SystemCallsScope scope(calls);
      save(path);
    });
    const std::string now = content(path);
    ASSERT_TRUE(now == kOld || now == kNew) << "call " << n;
    (now == kOld ? old_seen : new_seen) = true;
    left_over_seen |= !remove_stale_temporaries(folder.path()).empty();
    ASSERT_EQ(list_folder(folder.path(), FileUse::data).size(), 1U) << "call " << n;
  }
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(old_seen && new_seen && left_over_seen);
}

// What a power cut may lose or reorder is what was not synced: the content must be synced before
// the rename is asked for, and the rename before the save counts as done.
TEST(AtomicFileFault, DataIsOnTheDiskBeforeTheNameIs) {
  const TemporaryFolder folder;
  Recorder calls;
  {
    SystemCallsScope scope(calls);
    save(folder / "f");
  }
  const std::vector<std::string> wanted = {"open folder",     "open temporary",  "write temporary",
                                           "write temporary", "fsync temporary", "close temporary",
                                           "rename",          "fsync folder",    "close folder"};
  EXPECT_EQ(calls.log, wanted);
}

TEST(AtomicFileFault, MessagesNamePathCallAndReason) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  EXPECT_EQ(save_message(path, {.at = 3, .error = ENOSPC}),
            "cannot write '" + path + "': write: No space left on device");
  EXPECT_EQ(save_message(path, {.at = 5, .error = EIO}),
            "cannot write '" + path + "': fsync: Input/output error");
  EXPECT_EQ(save_message(path, {.at = 7, .error = EROFS}),
            "cannot write '" + path + "': rename: Read-only file system");
  EXPECT_EQ(save_message(path, {.at = 8, .error = EIO}),
            "cannot write '" + path + "': fsync of the folder: Input/output error");
  EXPECT_EQ(save_message(path, {.at = 8, .error = EINVAL}), "saved");
  const std::string missing = folder / "none/f";
  EXPECT_EQ(save_message(missing, {.at = 100}),
            "cannot write '" + missing + "': open of the folder: No such file or directory");
  EXPECT_EQ(save_message(folder.path(), {.at = 100}),
            "cannot write '" + folder.path() + "': open: Is a directory");
}

TEST(AtomicFileFault, AFailedSaveStaysFailed) {
  const TemporaryFolder folder;
  FaultyCalls calls({.at = 3, .error = ENOSPC});
  SystemCallsScope scope(calls);
  AtomicFile file(folder / "f");
  EXPECT_THROW(file.write("x"), IoError);
  EXPECT_THROW(file.write("y"), IoError);
  EXPECT_THROW(file.commit(), IoError);
  EXPECT_TRUE(list_folder(folder.path(), FileUse::data).empty());
}

TEST(AtomicFileFault, AFolderRemovedMeanwhileIsAFailure) {
  const TemporaryFolder folder;
  make_folders(folder / "out");
  AtomicFile file(folder / "out/f");
  file.write(kNew);
  std::filesystem::remove_all(folder / "out");
  EXPECT_THROW(file.commit(), IoError);
}

TEST(StaleTemporaries, OnlyThoseOfDeadProcessesGo) {
  const TemporaryFolder folder;
  const std::string dead = "4194999";  // above the largest process id of Linux
  const std::string alive = std::to_string(::getppid()), own = std::to_string(::getpid());
  const std::vector<std::string> stay = {
      ".f.1.tmp", ".f." + alive + "-1.tmp", ".f.x-1.tmp",         ".hidden",
      "f",        "f." + dead + "-1.tmp",   "." + dead + "-1.tmp"};
  const std::vector<std::string> go = {".f." + dead + "-0.tmp", ".f." + own + "-7.tmp",
                                       ".g.x." + dead + "-12.tmp"};
  for (const auto& names : {stay, go})
    for (const std::string& name : names) std::ofstream(folder / name) << "x";
  std::vector<std::string> wanted = go;
  std::sort(wanted.begin(), wanted.end());
  EXPECT_EQ(remove_stale_temporaries(folder.path()), wanted);
  EXPECT_EQ(list_folder(folder.path(), FileUse::data).size(), stay.size());
  EXPECT_THROW(remove_stale_temporaries(folder / "none"), IoError);
}

TEST(StaleTemporaries, OneOfTheSameProcessIdIsReplaced) {
  const TemporaryFolder folder;
  std::string name;
  {
    const AtomicFile file(folder / "f");
    name = list_folder(folder.path(), FileUse::data).at(0);
  }
  const size_t dash = name.rfind('-') + 1;
  const int next = std::stoi(name.substr(dash)) + 1;
  write_file(folder / (name.substr(0, dash) + std::to_string(next + 1) + ".tmp"), "left over");
  save(folder / "f");
  EXPECT_EQ(content(folder / "f"), kNew);
  EXPECT_EQ(list_folder(folder.path(), FileUse::data), std::vector<std::string>{"f"});
}

}  // namespace stair
