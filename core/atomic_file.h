// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stair {

// Writes a file under a temporary name beside its target and renames it when it is complete and on
// the disk.
//
// Whatever fails, and whenever the process ends, `path` is its old content or the whole new one.
// The temporary is named
// ".<name>.<pid>-<number>.tmp" and is removed at the first failure, or by the destructor when
// commit() was not called. Errors: IoError naming path, call and reason; after one, every further
// call fails as well. A failed fsync is a failed save and is not tried again, since the kernel may
// have dropped the pages (Rebello et al., "Can applications recover from fsync failures?", ATC
// 2020). EINTR and short writes are no failures.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  // Appends zero bytes up to the next multiple of `alignment`.
  void pad_to(uint64_t alignment);
  // Bytes written so far.
  uint64_t position() const { return position_; }
  // fsync, close, rename, fsync of the folder. When only the last fails the new file stands, but a
  // power cut may undo it.
  void commit();

 private:
  [[noreturn]] void fail(const char* call, int error);
  void abandon();

  std::string path_, temporary_;
  int fd_ = -1, folder_fd_ = -1;
  uint64_t position_ = 0;
};

// Writes `bytes` as the file `path`, atomically.
void write_file(const std::string& path, std::span<const std::byte> bytes);
void write_file(const std::string& path, std::string_view text);

// Removes the temporaries that dead processes left in `folder` and returns their names, sorted.
// Those of this process count as left over too (a restarted container gives the same pid again), so
// call it before the first save. Throws IoError when the folder cannot be read or a file not be
// removed.
std::vector<std::string> remove_stale_temporaries(const std::string& folder);

}  // namespace stair
