#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/system_calls.h"
#include "core/text.h"

namespace stair {
namespace {

constexpr size_t kLongestPath = 1000;  // characters shown in messages

std::string path_in_quotes(const std::string& path) {
  return str("'", printable(path, kLongestPath), "'");
}

std::string reason(const char* call, int error) {
  return str(call, ": ", std::generic_category().message(error));
}

const char* write_hint(int error) {
  switch (error) {
    case ENOSPC:
      return "free some space on that disk";
    case EDQUOT:
      return "the disk quota is used up";
    case EFBIG:
      return "the file system or 'ulimit -f' limits the size of files";
    case EIO:
      return "the disk reports errors; see the system's log";
    case ENOENT:
      return "make the folder first";
    case EROFS:
    case EACCES:
    case EPERM:
      return "choose a folder that can be written";
    default:
      return "";
  }
}

// Makes the entries of a folder durable.
void sync_folder(const std::string& folder) {
  SystemCalls& calls = system_calls();
  const int fd = uninterrupted(
      [&] { return calls.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  if (fd < 0) throw_write_error(folder, "open", errno);
  const int result = uninterrupted([&] { return calls.fsync(fd); });
  const int error = errno;
  calls.close(fd);
  if (result != 0 && error != EINVAL) throw_write_error(folder, "fsync", error);
}

}  // namespace

void throw_read_error(FileUse use, const std::string& what, std::string hint) {
  switch (use) {
    case FileUse::config:
      throw ConfigError(what, std::move(hint));
    case FileUse::data:
      throw DataError(what, std::move(hint));
    case FileUse::model:
      break;
  }
  throw FormatError(what, std::move(hint));
}

void throw_write_error(const std::string& path, const char* call, int error) {
  throw IoError(str("cannot write ", path_in_quotes(path), ": ", reason(call, error)),
                write_hint(error));
}

InputFile::InputFile(std::string path, FileUse use) : path_(std::move(path)), use_(use) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  fd_ = uninterrupted([&] { return system_calls().open(path_.c_str(), kFlags, 0); });
  if (fd_ < 0) fail("open", errno);
  struct stat status {};
  const bool known = ::fstat(fd_, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  system_calls().close(fd_);
  throw_read_error(use_, str("cannot read ", path_in_quotes(path_), ": it is ",
                             known && S_ISDIR(status.st_mode) ? "a folder" : "no regular file"));
}

InputFile::~InputFile() {
  system_calls().close(fd_);
}

void InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = uninterrupted([&] {
      return system_calls().pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    });
    if (count < 0) fail("read", errno);
    if (count == 0)
      throw_read_error(use_, str("cannot read ", path_in_quotes(path_), ": it ends at byte ",
                                 offset, ", it had ", size_, " when it was opened"));
    offset += static_cast<uint64_t>(count);
    out = out.subspan(static_cast<size_t>(count));
  }
}

void InputFile::fail(const char* call, int error) const {
  throw_read_error(use_, str("cannot read ", path_in_quotes(path_), ": ", reason(call, error)));
}

std::string read_file(const std::string& path, uint64_t limit, FileUse use) {
  const InputFile file(path, use);
  if (file.size() > limit)
    throw_read_error(use, str("cannot read ", path_in_quotes(path), ": it has ", file.size(),
                              " bytes, at most ", limit, " are allowed"));
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

bool file_exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool folder_exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::vector<std::string> list_folder(const std::string& folder, FileUse use) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error))
    names.push_back(it->path().filename().string());
  if (error)
    throw_read_error(
        use, str("cannot read ", path_in_quotes(folder), ": ", reason("list", error.value())));
  std::sort(names.begin(), names.end());
  return names;
}

void make_folders(const std::string& folder) {
  if (folder_exists(folder)) return;
  const std::string parent = folder_of(folder);
  if (parent != folder) make_folders(parent);
  if (system_calls().mkdir(folder.c_str(), 0777) != 0) {
    if (errno == EEXIST && folder_exists(folder)) return;
    throw_write_error(folder, "mkdir", errno);
  }
  sync_folder(parent);
}

void probe_writable(const std::string& folder) {
  AtomicFile probe(path_in(folder, "probe"));
  probe.write("x");
}

void remove_file(const std::string& path) {
  if (uninterrupted([&] { return system_calls().unlink(path.c_str()); }) != 0 && errno != ENOENT)
    throw_write_error(path, "unlink", errno);
}

std::string folder_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return std::string(path.substr(0, std::max<size_t>(slash, 1)));
}

std::string name_of(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string path_in(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return str(folder, folder.ends_with('/') ? "" : "/", name);
}

}  // namespace stair
