// The system calls behind all files of Stair, replaceable so that tests can make each of them fail.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <span>

namespace stair {

// Each call behaves as the POSIX function of its name: -1 and errno on failure. They are called
// from any thread.
class SystemCalls {
 public:
  virtual ~SystemCalls() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t pread(int fd, void* data, size_t size, off_t offset);
  virtual ssize_t write(int fd, const void* data, size_t size);
  virtual int ftruncate(int fd, off_t size);
  virtual int fsync(int fd);
  virtual int close(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int mkdir(const char* path, mode_t mode);
};

// Those in use now.
SystemCalls& system_calls();

// Puts others in place of the real ones for a scope. For tests: no file may be in use by another
// thread meanwhile.
class SystemCallsScope {
 public:
  explicit SystemCallsScope(SystemCalls& calls);
  ~SystemCallsScope();
  SystemCallsScope(const SystemCallsScope&) = delete;
  SystemCallsScope& operator=(const SystemCallsScope&) = delete;

 private:
  SystemCalls* before_;
};

// Repeats a call as long as signals interrupt it.
template <class F>
auto uninterrupted(const F& call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

// Writes all bytes, over interruptions and short writes. Returns 0 or the errno of the write that
// failed.
int write_all(int fd, std::span<const std::byte> bytes);

}  // namespace stair
