#include "core/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "core/file.h"
#include "core/system_calls.h"
#include "core/text.h"

namespace stair {

AppendFile::AppendFile(std::string path) : path_(std::move(path)) {
  constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;
  fd_ = uninterrupted([&] { return system_calls().open(path_.c_str(), kFlags, 0666); });
  if (fd_ < 0) fail("open", errno);
  try {
    cut_half_line();
  } catch (...) {
    system_calls().close(fd_);
    throw;
  }
}

AppendFile::~AppendFile() {
  system_calls().close(fd_);
}

void AppendFile::cut_half_line() {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail("fstat", errno);
  regular_ = S_ISREG(status.st_mode);
  if (!regular_) return;
  const auto end = static_cast<uint64_t>(status.st_size);
  std::array<char, 4096> block;
  for (size_ = end; size_ > 0;) {
    const uint64_t begin = size_ - std::min<uint64_t>(size_, block.size());
    const ssize_t count = uninterrupted([&] {
      return system_calls().pread(fd_, block.data(), size_ - begin, static_cast<off_t>(begin));
    });
    if (count < 0) fail("read", errno);
    const std::string_view text(block.data(), static_cast<size_t>(count));
    const size_t line_end = text.rfind('\n');
    size_ = line_end == text.npos ? begin : begin + line_end + 1;
    if (line_end != text.npos) break;
  }
  bytes_cut_ = end - size_;
  if (bytes_cut_ > 0) truncate();
}

void AppendFile::truncate() {
  const auto call = [&] { return system_calls().ftruncate(fd_, static_cast<off_t>(size_)); };
  if (regular_ && uninterrupted(call) != 0) fail("ftruncate", errno);
  torn_ = false;
}

void AppendFile::write_line(std::string_view line) {
  if (line.find('\n') != line.npos)
    throw ConfigError(str("write_line: '", printable(line), "' holds a line end"));
  if (torn_) truncate();
  const std::string whole = std::string(line) + '\n';
  if (const int error = write_all(fd_, std::as_bytes(std::span(whole)))) {
    torn_ = true;
    // When this fails too, the next line tries again before it is written.
    if (regular_ && system_calls().ftruncate(fd_, static_cast<off_t>(size_)) == 0) torn_ = false;
    fail("write", error);
  }
  size_ += whole.size();
}

void AppendFile::fail(const char* call, int error) const {
  throw_write_error(path_, call, error);
}

}  // namespace stair
