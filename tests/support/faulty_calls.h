// System calls that fail on purpose, after SQLite's anomaly tests: the n-th call fails or ends the
// process, for n = 1, 2, ... until the operation under test gets through.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/system_calls.h"

namespace stair::support {

struct Fault {
  int at;              // the call that it hits, counted from 1
  int error = 0;       // errno it fails with
  bool halve = false;  // a read or write moves half of the bytes (other calls are left alone)
  bool die = false;    // the process ends there, in the middle of a write
  bool stays = false;  // every later open, write, fsync and rename fails too: a full or dead disk
};

class FaultyCalls : public SystemCalls {
 public:
  explicit FaultyCalls(Fault fault) : fault_(fault) {}
  // Whether the n-th call was reached.
  bool reached() const { return count_ >= fault_.at; }

  int open(const char* path, int flags, mode_t mode) override;
  ssize_t pread(int fd, void* data, size_t size, off_t offset) override;
  ssize_t write(int fd, const void* data, size_t size) override;
  int ftruncate(int fd, off_t size) override;
  int fsync(int fd) override;
  int close(int fd) override;
  int rename(const char* from, const char* to) override;
  int unlink(const char* path) override;
  int mkdir(const char* path, mode_t mode) override;

 private:
  // Counts a call; true when it must fail, with errno set. `half` does half of a transfer.
  bool fails(bool may_stay, bool* half = nullptr);

  Fault fault_;
  int count_ = 0;
};

// Exit status of a child process that dies by a Fault.
inline constexpr int kDied = 77;

// Runs `f` in a forked process and returns its exit status: 0 when f returned, 1 when it threw,
// kDied.
int run_in_child(const std::function<void()>& f);

// The errors that a disk gives: ENOSPC, EIO, EDQUOT, EFBIG, EROFS.
const std::vector<int>& disk_errors();

}  // namespace stair::support
