// The container of our own files (checkpoints, int8 graphs): named sections of bytes, each with a
// checksum.
//
// Layout, little-endian:
//   0  magic, 8 bytes         24  u64 size of the file
//   8  u32 version            32  u64 XXH3 of bytes 0-31 and the table
//   12 u32 sections           40  the table, for each section: u32 length of the name, the name,
//   16 u64 size of the table      u64 offset, u64 size, u64 XXH3 of its bytes
// then the sections in the order of the table, each at the next multiple of 64 with zeros before
// it. Nothing follows the last. `version` is of what the sections hold; the container itself is the
// same for all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace stair {

struct Section {
  Section(std::string section_name, std::span<const std::byte> bytes)
      : name(std::move(section_name)), parts{bytes} {}
  Section(std::string section_name, std::string_view text)
      : Section(std::move(section_name), std::as_bytes(std::span(text))) {}
  // A section that is gathered from several places, in order.
  Section(std::string section_name, std::vector<std::span<const std::byte>> pieces)
      : name(std::move(section_name)), parts(std::move(pieces)) {}

  std::string name;
  std::vector<std::span<const std::byte>> parts;
};

// Writes the file atomically, straight from where the sections lie. `magic` has eight bytes.
// Throws ConfigError on another magic and on names that are empty, longer than 255 bytes or occur
// twice; IoError.
void write_section_file(const std::string& path, std::string_view magic, uint32_t version,
                        std::span<const Section> sections);

class SectionFile {
 public:
  struct Entry {
    std::string name;
    Tensor bytes;  // [size] u8
  };
  SectionFile(std::string path, uint32_t version, std::vector<Entry> sections)
      : path_(std::move(path)), version_(version), sections_(std::move(sections)) {}

  uint32_t version() const { return version_; }
  const std::vector<Entry>& sections() const { return sections_; }
  bool has(std::string_view name) const;
  // Throws FormatError when there is no section of that name.
  const Tensor& at(std::string_view name) const;
  // The same bytes as text; valid as long as this object.
  std::string_view text(std::string_view name) const;

 private:
  std::string path_;
  uint32_t version_;
  std::vector<Entry> sections_;
};

// Reads and verifies the whole file. Sizes and offsets are checked against the size of the file
// before memory is asked for. Throws FormatError: another magic, a version above `max_version`, a
// cut (naming the section where the file ends), bytes after the end, `checksum of section
// 'weights'`, `checksum of the header`.
SectionFile read_section_file(const std::string& path, std::string_view magic,
                              uint32_t max_version);

}  // namespace stair
