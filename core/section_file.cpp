#include "core/section_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "core/atomic_file.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/text.h"

namespace stair {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are stored as the machine has them");

constexpr uint64_t kAlignment = 64;
constexpr size_t kLongestName = 255;

struct Header {
  char magic[8];
  uint32_t version, count;
  uint64_t table_bytes, file_bytes, hash;
};
static_assert(sizeof(Header) == 40);

struct Row {
  std::string name;
  uint64_t offset, size, hash;
};

// Up to 63 bytes more than `position`: positions near 2^64 must be excluded before.
uint64_t aligned(uint64_t position) {
  return (position + kAlignment - 1) / kAlignment * kAlignment;
}

std::span<const std::byte> bytes_of_header(const Header& header) {
  return std::as_bytes(std::span(&header, 1));
}

uint64_t hash_of(const Header& header, std::string_view table) {
  return Hasher()
      .update(bytes_of_header(header).first(offsetof(Header, hash)))
      .update(table)
      .digest();
}

template <class T>
void append(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// A name that two of the items have, or nullptr.
template <class Items>
const std::string* name_twice(const Items& items) {
  std::vector<const std::string*> names;
  for (const auto& item : items) names.push_back(&item.name);
  std::sort(names.begin(), names.end(), [](auto a, auto b) { return *a < *b; });
  const auto same = [](auto a, auto b) { return *a == *b; };
  const auto twice = std::adjacent_find(names.begin(), names.end(), same);
  return twice == names.end() ? nullptr : *twice;
}

void check_arguments(std::string_view magic, std::span<const Section> sections) {
  if (magic.size() != sizeof(Header::magic))
    throw ConfigError(str("section file: magic ", in_quotes(magic), " has not 8 bytes"));
  for (const Section& section : sections)
    if (section.name.empty() || section.name.size() > kLongestName)
      throw ConfigError(str("section file: a section is called ", in_quotes(section.name),
                            ", names have 1 to ", kLongestName, " bytes"));
  if (const std::string* twice = name_twice(sections))
    throw ConfigError(str("section file: two sections are called ", in_quotes(*twice)));
}

std::vector<Row> rows_of(std::span<const Section> sections) {
  uint64_t table_bytes = 0;
  for (const Section& section : sections)
    table_bytes += sizeof(uint32_t) + section.name.size() + 3 * sizeof(uint64_t);
  std::vector<Row> rows;
  uint64_t end = sizeof(Header) + table_bytes;
  for (const Section& section : sections) {
    Hasher hasher;
    uint64_t size = 0;
    for (const auto part : section.parts) {
      hasher.update(part);
      size += part.size();
    }
    rows.push_back({section.name, aligned(end), size, hasher.digest()});
    end = rows.back().offset + size;
  }
  return rows;
}

std::string table_of(std::span<const Row> rows) {
  std::string table;
  for (const Row& row : rows) {
    append(table, static_cast<uint32_t>(row.name.size()));
    table += row.name;
    append(table, row.offset);
    append(table, row.size);
    append(table, row.hash);
  }
  return table;
}

class Reader {
 public:
  Reader(const std::string& path, std::string_view magic, uint32_t max_version)
      : file_(path, FileUse::model), magic_(magic), max_version_(max_version) {}

  SectionFile read() {
    read_header();
    read_table();
    check_layout();
    std::vector<SectionFile::Entry> sections;
    for (const Row& row : rows_) {
      Tensor bytes = Tensor::empty({static_cast<int64_t>(row.size)}, DType::u8);
      file_.read_at(row.offset, {bytes.raw(), bytes.bytes()});
      if (hash64({bytes.raw(), bytes.bytes()}) != row.hash)
        fail(str("checksum of section ", in_quotes(row.name), " does not match"));
      sections.push_back({row.name, std::move(bytes)});
    }
    return {file_.path(), header_.version, std::move(sections)};
  }

 private:
  [[noreturn]] void fail(const std::string& reason,
                         std::string hint = "the file is damaged; use an older one") const {
    throw FormatError(str("cannot read ", path_in_quotes(file_.path()), ": ", reason),
                      std::move(hint));
  }

  void read_header() {
    const uint64_t size = file_.size();
    if (size < sizeof header_) fail(str("it is cut in the header, at byte ", size));
    file_.read_at(0, std::as_writable_bytes(std::span(&header_, 1)));
    const std::string_view magic(header_.magic, sizeof header_.magic);
    if (magic != magic_)
      fail(str("it begins with ", in_quotes(magic), ", not with ", in_quotes(magic_)),
           "this is another kind of file");
    if (header_.table_bytes > size - sizeof header_)
      fail(str("it is cut in the header, at byte ", size));
    table_.resize(header_.table_bytes);
    file_.read_at(sizeof header_, std::as_writable_bytes(std::span(table_)));
    if (hash_of(header_, table_) != header_.hash) fail("checksum of the header does not match");
    if (header_.version > max_version_)
      fail(str("it has format version ", header_.version, ", this program reads up to ",
               max_version_),
           "use a newer release of stair");
  }

  // The next number of the table. The checksum guards against damage, not against malice, so every
  // length is checked.
  template <class T>
  T take() {
    const std::string_view raw = take_bytes(sizeof(T));
    T number;
    std::memcpy(&number, raw.data(), sizeof number);
    return number;
  }

  std::string_view take_bytes(size_t count) {
    if (count > table_.size() - taken_) fail("the table of sections ends too early");
    taken_ += count;
    return std::string_view(table_).substr(taken_ - count, count);
  }

  void read_table() {
    for (uint32_t i = 0; i < header_.count; ++i) {
      const auto length = take<uint32_t>();
      if (length == 0 || length > kLongestName)
        fail(str("section ", i, " has a name of ", length, " bytes"));
      std::string name(take_bytes(length));
      const auto offset = take<uint64_t>(), size = take<uint64_t>(), hash = take<uint64_t>();
      rows_.push_back({std::move(name), offset, size, hash});
    }
    if (taken_ != table_.size()) fail("bytes follow the table of sections");
    if (const std::string* twice = name_twice(rows_))
      fail(str("section ", in_quotes(*twice), " occurs twice"));
  }

  void check_layout() const {
    uint64_t end = sizeof header_ + table_.size();
    for (const Row& row : rows_) {
      if (row.offset != aligned(end))
        fail(str("section ", in_quotes(row.name), " begins at byte ", row.offset, ", not at ",
                 aligned(end)));
      if (row.size > INT64_MAX - row.offset)
        fail(str("section ", in_quotes(row.name), " would have ", row.size, " bytes"));
      if (row.offset + row.size > file_.size())
        fail(str("it is cut in section ", in_quotes(row.name), ", at byte ", file_.size(), " of ",
                 header_.file_bytes));
      check_padding(row.name, end, row.offset);
      end = row.offset + row.size;
    }
    if (header_.file_bytes != end)
      fail(str("the header tells of ", header_.file_bytes, " bytes, the sections of ", end));
    if (file_.size() > end) fail(str(file_.size() - end, " bytes follow the last section"));
  }

  void check_padding(const std::string& name, uint64_t begin, uint64_t end) const {
    std::array<std::byte, kAlignment> padding;
    const std::span<std::byte> used(padding.data(), end - begin);
    file_.read_at(begin, used);
    if (std::any_of(used.begin(), used.end(), [](std::byte b) { return b != std::byte{0}; }))
      fail(str("checksum of section ", in_quotes(name), ": the bytes before it are not zero"));
  }

  InputFile file_;
  std::string_view magic_;
  uint32_t max_version_;
  Header header_{};
  std::string table_;
  size_t taken_ = 0;
  std::vector<Row> rows_;
};

}  // namespace

void write_section_file(const std::string& path, std::string_view magic, uint32_t version,
                        std::span<const Section> sections) {
  check_arguments(magic, sections);
  const std::vector<Row> rows = rows_of(sections);
  const std::string table = table_of(rows);
  Header header{};
  std::copy(magic.begin(), magic.end(), header.magic);
  header.version = version;
  header.count = static_cast<uint32_t>(rows.size());
  header.table_bytes = table.size();
  header.file_bytes =
      rows.empty() ? sizeof header + table.size() : rows.back().offset + rows.back().size;
  header.hash = hash_of(header, table);
  AtomicFile file(path);
  file.write(bytes_of_header(header));
  file.write(table);
  for (const Section& section : sections) {
    file.pad_to(kAlignment);
    for (const auto part : section.parts) file.write(part);
  }
  file.commit();
}

bool SectionFile::has(std::string_view name) const {
  return std::any_of(sections_.begin(), sections_.end(),
                     [&](const Entry& entry) { return entry.name == name; });
}

const Tensor& SectionFile::at(std::string_view name) const {
  std::vector<std::string> names;
  for (const Entry& entry : sections_) {
    if (entry.name == name) return entry.bytes;
    names.push_back(entry.name);
  }
  throw FormatError(str(path_in_quotes(path_), " has no section ", in_quotes(name)),
                    did_you_mean(name, names));
}

std::string_view SectionFile::text(std::string_view name) const {
  const Tensor& bytes = at(name);
  return {reinterpret_cast<const char*>(bytes.raw()), bytes.bytes()};
}

SectionFile read_section_file(const std::string& path, std::string_view magic,
                              uint32_t max_version) {
  check_arguments(magic, {});
  return Reader(path, magic, max_version).read();
}

}  // namespace stair
