#include "tests/support/faulty_calls.h"

#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace stair::support {

bool FaultyCalls::fails(bool may_stay, bool* half) {
  const bool hit = ++count_ == fault_.at || (fault_.stays && may_stay && count_ > fault_.at);
  if (!hit) return false;
  if (half != nullptr) *half = fault_.halve || fault_.die;
  if (fault_.die && half == nullptr) ::_exit(kDied);
  errno = fault_.error;
  return fault_.error != 0;
}

int FaultyCalls::open(const char* path, int flags, mode_t mode) {
  return fails(true) ? -1 : SystemCalls::open(path, flags, mode);
}

ssize_t FaultyCalls::pread(int fd, void* data, size_t size, off_t offset) {
  bool half = false;
  if (fails(false, &half)) return -1;
  return SystemCalls::pread(fd, data, half ? (size + 1) / 2 : size, offset);
}

ssize_t FaultyCalls::write(int fd, const void* data, size_t size) {
  bool half = false;
  if (fails(true, &half)) return -1;
  const ssize_t written = SystemCalls::write(fd, data, half ? (size + 1) / 2 : size);
  if (half && fault_.die) ::_exit(kDied);
  return written;
}

int FaultyCalls::ftruncate(int fd, off_t size) {
  return fails(false) ? -1 : SystemCalls::ftruncate(fd, size);
}

int FaultyCalls::fsync(int fd) {
  return fails(true) ? -1 : SystemCalls::fsync(fd);
}

int FaultyCalls::close(int fd) {
  const bool fail = fails(false);
  const int error = errno;
  SystemCalls::close(fd);  // as Linux does: the descriptor is gone even when close fails
  errno = error;
  return fail ? -1 : 0;
}

int FaultyCalls::rename(const char* from, const char* to) {
  return fails(true) ? -1 : SystemCalls::rename(from, to);
}

int FaultyCalls::unlink(const char* path) {
  return fails(false) ? -1 : SystemCalls::unlink(path);
}

int FaultyCalls::mkdir(const char* path, mode_t mode) {
  return fails(true) ? -1 : SystemCalls::mkdir(path, mode);
}

int run_in_child(const std::function<void()>& f) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    try {
      f();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status))
    throw std::runtime_error("the child did not exit");
  return WEXITSTATUS(status);
}

const std::vector<int>& disk_errors() {
  static const std::vector<int> errors = {ENOSPC, EIO, EDQUOT, EFBIG, EROFS};
  return errors;
}

}  // namespace stair::support
