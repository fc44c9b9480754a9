// A zip archive that is read, and nothing in it trusted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

struct zip;

namespace stair::apps {

class ZipArchive {
 public:
  // Reads the directory. Throws FormatError for what is no zip file, for a directory that the
  // records contradict, for records that are encrypted, overlap, occur twice, are packed by
  // anything but deflate, or would unpack to more than 1000 times their size.
  explicit ZipArchive(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t file_size() const { return file_size_; }
  // Bytes of each record when it is unpacked, by its name.
  const std::map<std::string, uint64_t>& sizes() const { return sizes_; }
  // Fills `out`, which has the record's size, and checks the CRC-32. Throws FormatError.
  void read(const std::string& name, std::span<std::byte> out) const;

  // Throws FormatError `cannot read '<path>': <reason>`.
  [[noreturn]] void fail(const std::string& reason, const std::string& hint) const;

 private:
  void list_records();

  struct Close {
    void operator()(zip* archive) const;
  };
  std::string path_;
  uint64_t file_size_ = 0;
  std::unique_ptr<zip, Close> zip_;
  std::map<std::string, uint64_t> sizes_;
};

inline constexpr const char* kDamagedHint = "the file is damaged or was not fetched whole";

}  // namespace stair::apps
