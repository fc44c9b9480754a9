#include "core/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "core/file.h"
#include "core/system_calls.h"

namespace stair {
namespace {

constexpr std::string_view kSuffix = ".tmp";
constexpr size_t kLongestName =
    200;  // of the target inside the temporary's name; systems allow 255

std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> next{0};
  const std::string name = name_of(path).substr(0, kLongestName);
  return path_in(folder_of(path), str('.', name, '.', ::getpid(), '-', next++, kSuffix));
}

std::optional<uint64_t> number(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// The process that made a temporary of that name; nothing when the name is no temporary's.
std::optional<pid_t> maker_of(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  const size_t dot = name.rfind('.'), dash = name.rfind('-');
  if (dot == 0 || dash == name.npos || dash < dot) return std::nullopt;
  const std::optional<uint64_t> pid = number(name.substr(dot + 1, dash - dot - 1));
  if (!pid || *pid > INT32_MAX || !number(name.substr(dash + 1))) return std::nullopt;
  return static_cast<pid_t>(*pid);
}

bool alive(pid_t pid) {
  return ::kill(pid, 0) == 0 || errno == EPERM;
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  if (name_of(path_).empty() || folder_exists(path_)) fail("open", EISDIR);
  SystemCalls& calls = system_calls();
  const std::string folder = folder_of(path_);
  folder_fd_ = uninterrupted(
      [&] { return calls.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  if (folder_fd_ < 0) fail("open of the folder", errno);
  temporary_ = temporary_name(path_);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  const auto create = [&] {
    return uninterrupted([&] { return calls.open(temporary_.c_str(), kFlags, 0666); });
  };
  fd_ = create();
  if (fd_ < 0 && errno == EEXIST) {
    calls.unlink(temporary_.c_str());  // a dead process with the same id left it there
    fd_ = create();
  }
  if (fd_ < 0) fail("open", errno);
}

AtomicFile::~AtomicFile() {
  abandon();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (const int error = write_all(fd_, bytes)) fail("write", error);
  position_ += bytes.size();
}

void AtomicFile::pad_to(uint64_t alignment) {
  constexpr std::array<std::byte, 64> kZeros{};
  uint64_t missing = (alignment - position_ % alignment) % alignment;
  for (; missing > kZeros.size(); missing -= kZeros.size()) write(kZeros);
  write(std::span(kZeros).first(missing));
}

void AtomicFile::commit() {
  SystemCalls& calls = system_calls();
  if (uninterrupted([&] { return calls.fsync(fd_); }) != 0) fail("fsync", errno);
  if (calls.close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail("close", errno);
  const auto rename = [&] { return calls.rename(temporary_.c_str(), path_.c_str()); };
  if (uninterrupted(rename) != 0) fail("rename", errno);
  temporary_.clear();
  // Some file systems cannot sync a folder and say so with EINVAL.
  if (uninterrupted([&] { return calls.fsync(folder_fd_); }) != 0 && errno != EINVAL)
    fail("fsync of the folder", errno);
  abandon();
}

void AtomicFile::fail(const char* call, int error) {
  abandon();
  throw_write_error(path_, call, error);
}

void AtomicFile::abandon() {
  SystemCalls& calls = system_calls();
  if (fd_ >= 0) calls.close(std::exchange(fd_, -1));
  if (folder_fd_ >= 0) calls.close(std::exchange(folder_fd_, -1));
  if (temporary_.empty()) return;
  uninterrupted([&] { return calls.unlink(temporary_.c_str()); });
  temporary_.clear();
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::string& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

std::vector<std::string> remove_stale_temporaries(const std::string& folder) {
  std::vector<std::string> removed;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    const std::optional<pid_t> maker = maker_of(name);
    if (!maker || (*maker != ::getpid() && alive(*maker))) continue;
    removed.push_back(name);
  }
  if (error) throw_write_error(folder, "list", error.value());
  std::sort(removed.begin(), removed.end());
  for (const std::string& name : removed) remove_file(path_in(folder, name));
  return removed;
}

}  // namespace stair
