// Reading files, and folders. Writing is in atomic_file.h and append_file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/append_file.h"
#include "core/atomic_file.h"
#include "core/error.h"

namespace stair {

// What a file that is read is for; decides the error: ConfigError, DataError or FormatError.
enum class FileUse { config, data, model };

[[noreturn]] void throw_read_error(FileUse use, const std::string& what, std::string hint = "");
// Throws IoError `cannot write '<path>': <call>: <text of errno>` with a hint that fits the errno.
[[noreturn]] void throw_write_error(const std::string& path, const char* call, int error);

// A regular file that is read at given positions, never mapped: a file that shrinks meanwhile is an
// error and no signal. Errors: by `use`, naming path, call and reason.
class InputFile {
 public:
  InputFile(std::string path, FileUse use);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  // Bytes when it was opened.
  uint64_t size() const { return size_; }
  // Fills `out` with the bytes from `offset` on. Throws when the file ends before.
  void read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  [[noreturn]] void fail(const char* call, int error) const;

  std::string path_;
  FileUse use_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// The whole file. Throws, by `use`, when it has more than `limit` bytes; nothing is allocated then.
std::string read_file(const std::string& path, uint64_t limit, FileUse use);

bool file_exists(const std::string& path);
bool folder_exists(const std::string& path);
// Names in a folder, sorted, without "." and "..". Throws by `use`.
std::vector<std::string> list_folder(const std::string& folder, FileUse use);
// Makes the folder and those above it, durably. Throws IoError.
void make_folders(const std::string& folder);
// Writes and removes a file in `folder`, to find out before hours of work. Throws IoError when that
// fails.
void probe_writable(const std::string& folder);
// Removes a file. Throws IoError; a file that is not there is no error.
void remove_file(const std::string& path);

// The part before the last '/', "." without one, "/" for a name in the root.
std::string folder_of(std::string_view path);
// The part after the last '/'.
std::string name_of(std::string_view path);
// folder/name; `name` alone when the folder is empty.
std::string path_in(std::string_view folder, std::string_view name);

}  // namespace stair
