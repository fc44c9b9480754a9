#include "core/system_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace stair {
namespace {

std::atomic<SystemCalls*>& current() {
  static SystemCalls real;
  static std::atomic<SystemCalls*> calls = &real;
  return calls;
}

}  // namespace

int SystemCalls::open(const char* path, int flags, mode_t mode) {
  return ::open(path, flags, mode);
}

ssize_t SystemCalls::pread(int fd, void* data, size_t size, off_t offset) {
  return ::pread(fd, data, size, offset);
}

ssize_t SystemCalls::write(int fd, const void* data, size_t size) {
  return ::write(fd, data, size);
}

int SystemCalls::ftruncate(int fd, off_t size) {
  return ::ftruncate(fd, size);
}
int SystemCalls::fsync(int fd) {
  return ::fsync(fd);
}
int SystemCalls::close(int fd) {
  return ::close(fd);
}
int SystemCalls::rename(const char* from, const char* to) {
  return ::rename(from, to);
}
int SystemCalls::unlink(const char* path) {
  return ::unlink(path);
}
int SystemCalls::mkdir(const char* path, mode_t mode) {
  return ::mkdir(path, mode);
}

SystemCalls& system_calls() {
  return *current().load();
}

SystemCallsScope::SystemCallsScope(SystemCalls& calls) : before_(current().exchange(&calls)) {}
SystemCallsScope::~SystemCallsScope() {
  current().store(before_);
}

int write_all(int fd, std::span<const std::byte> bytes) {
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux takes a little less than 2 GiB a call
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), kMostAtOnce);
    const ssize_t written =
        uninterrupted([&] { return system_calls().write(fd, bytes.data(), part); });
    if (written < 0) return errno;
    if (written == 0) return EIO;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace stair
