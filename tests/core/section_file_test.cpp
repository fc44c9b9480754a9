#include "core/section_file.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "core/hash.h"
#include "core/random.h"
#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair {
namespace {

using support::FaultyCalls;
using support::TemporaryFolder;

constexpr const char* kMagic = "STAIRTST";
const std::string kWeights = std::string(200, 'w') + "end";

std::vector<Section> sample() {
  return {{"config", "{\"epochs\":3}"}, {"weights", kWeights}, {"none", ""}, {"last", "x"}};
}

// What reading says after the path, or "read".
std::string outcome(const std::string& path, const char* magic = kMagic, uint32_t version = 1) {
  try {
    read_section_file(path, magic, version);
    return "read";
  } catch (const FormatError& error) {
    const std::string what = error.what(), start = "cannot read '" + path + "': ";
    EXPECT_TRUE(what.starts_with(start)) << what;
    return what.substr(start.size());
  }
}

std::string outcome_of_bytes(const std::string& bytes) {
  static const TemporaryFolder folder;
  return outcome(folder.put("f", bytes));
}

std::string sample_bytes() {
  const TemporaryFolder folder;
  write_section_file(folder / "f", kMagic, 1, sample());
  return read_file(folder / "f", 1 << 20, FileUse::model);
}

template <class T>
std::string raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

// A file whose header and table carry a right checksum, whatever they say: made by malice, not by
// damage.
std::string forged(uint32_t count, const std::string& table, uint64_t file_bytes,
                   const std::string& rest) {
  const std::string start =
      kMagic + raw(uint32_t{1}) + raw(count) + raw(uint64_t{table.size()}) + raw(file_bytes);
  return start + raw(hash64(start + table)) + table + rest;
}

std::string row(const std::string& name, uint64_t offset, uint64_t size) {
  return raw(static_cast<uint32_t>(name.size())) + name + raw(offset) + raw(size) + raw(hash64(""));
}

}  // namespace

TEST(SectionFile, RoundTripsSectionsInOrder) {
  const TemporaryFolder folder;
  write_section_file(folder / "f", kMagic, 7, sample());
  const SectionFile file = read_section_file(folder / "f", kMagic, 9);
  EXPECT_EQ(file.version(), 7U);
  ASSERT_EQ(file.sections().size(), 4U);
  EXPECT_EQ(file.sections()[1].name, "weights");
  EXPECT_EQ(file.text("config"), "{\"epochs\":3}");
  EXPECT_EQ(file.text("weights"), kWeights);
  EXPECT_EQ(file.at("none").numel(), 0);
  EXPECT_EQ(file.at("last").item<uint8_t>(), 'x');
  EXPECT_TRUE(file.has("none"));
  EXPECT_FALSE(file.has("other"));
}

TEST(SectionFile, GathersPartsWithoutACopy) {
  const TemporaryFolder folder;
  const std::string a = "first,", b = "second";
  const std::vector<Section> sections = {
      {"s", std::vector{std::as_bytes(std::span(a)), std::as_bytes(std::span(b))}}};
  write_section_file(folder / "f", kMagic, 1, sections);
  EXPECT_EQ(read_section_file(folder / "f", kMagic, 1).text("s"), "first,second");
}

TEST(SectionFile, FilesWithoutSectionsAreWhole) {
  const TemporaryFolder folder;
  write_section_file(folder / "f", kMagic, 1, {});
  EXPECT_TRUE(read_section_file(folder / "f", kMagic, 1).sections().empty());
}

TEST(SectionFile, TheLayoutIsTheDocumentedOne) {
  const std::string bytes = sample_bytes();
  EXPECT_EQ(bytes.substr(0, 16), kMagic + raw(uint32_t{1}) + raw(uint32_t{4}));
  const uint64_t table = 4 * (4 + 24) + 6 + 7 + 4 + 4;
  EXPECT_EQ(bytes.substr(16, 16), raw(table) + raw(uint64_t{bytes.size()}));
  EXPECT_EQ(bytes.substr(40, 18), raw(uint32_t{6}) + "config" + raw(uint64_t{192}));
  EXPECT_EQ(bytes.substr(256, kWeights.size()), kWeights);
  EXPECT_EQ(bytes.size(), 513U);
}

TEST(SectionFile, WrongNamesAndMagicsAreRefusedOnWriting) {
  const TemporaryFolder folder;
  const auto write = [&](const char* magic, std::vector<Section> sections) {
    write_section_file(folder / "f", magic, 1, sections);
  };
  EXPECT_THROW(write("SHORT", {}), ConfigError);
  EXPECT_THROW(write(kMagic, {{"", "x"}}), ConfigError);
  EXPECT_THROW(write(kMagic, {{std::string(256, 'n'), "x"}}), ConfigError);
  EXPECT_THROW(write(kMagic, {{"a", "x"}, {"b", "x"}, {"a", "y"}}), ConfigError);
  EXPECT_FALSE(file_exists(folder / "f"));
}

TEST(SectionFileFault, OtherFilesAndVersionsAreNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  write_section_file(path, kMagic, 7, sample());
  EXPECT_EQ(outcome(path, "STAIRGRF", 9), "it begins with 'STAIRTST', not with 'STAIRGRF'");
  EXPECT_EQ(outcome(path, kMagic, 6), "it has format version 7, this program reads up to 6");
  try {
    read_section_file(path, kMagic, 7).at("wieghts");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.what(), "'" + path + "' has no section 'wieghts'");
    EXPECT_EQ(error.hint(), "did you mean 'weights'?");
  }
}

TEST(SectionFileFault, ACutNamesTheSection) {
  const std::string bytes = sample_bytes();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string text = outcome_of_bytes(bytes.substr(0, n));
    const bool in_header = n < 40 + 133, in_config = n < 192 + 12;
    const std::string section = n < 256 + kWeights.size() ? "weights" : n < 512 ? "none" : "last";
    const std::string wanted = in_header
                                   ? str("it is cut in the header, at byte ", n)
                                   : str("it is cut in section '", in_config ? "config" : section,
                                         "', at byte ", n, " of ", bytes.size());
    ASSERT_EQ(text, wanted);
  }
  EXPECT_EQ(outcome_of_bytes(bytes + "y"), "1 bytes follow the last section");
}

TEST(SectionFileFault, AFlippedBitOfAnyByteIsFound) {
  const std::string bytes = sample_bytes();
  for (size_t byte = 0; byte < bytes.size(); ++byte) {
    std::string flipped = bytes;
    flipped[byte] ^= static_cast<char>(1 << byte % 8);
    const std::string text = outcome_of_bytes(flipped);
    if (byte < 8)
      ASSERT_TRUE(text.starts_with("it begins with")) << text;
    else if (byte >= 16 && byte < 24)
      ASSERT_TRUE(text.find("header") != text.npos) << text;
    else if (byte < 173)
      ASSERT_EQ(text, "checksum of the header does not match") << byte;
    else if (byte >= 256 && byte < 256 + kWeights.size())
      ASSERT_EQ(text, "checksum of section 'weights' does not match") << byte;
    else
      ASSERT_TRUE(text.starts_with("checksum of section '")) << byte << ": " << text;
  }
}

TEST(SectionFileFault, SeededFlipsOfSeveralBitsAreFound) {
  const std::string bytes = sample_bytes();
  Random random(3);
  for (int i = 0; i < 1000; ++i) {
    std::string flipped = bytes;
    for (uint64_t flips = 1 + random.below(8); flips > 0; --flips)
      flipped[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
    if (flipped != bytes) {
      ASSERT_NE(outcome_of_bytes(flipped), "read");
    }
  }
}

TEST(SectionFileFault, ForgedTablesAskForNoMemory) {
  const uint64_t table = row("a", 0, 0).size();
  const auto one = [&](uint64_t offset, uint64_t size, uint64_t file_bytes) {
    return outcome_of_bytes(forged(1, row("a", offset, size), file_bytes, std::string(100, '\0')));
  };
  ASSERT_EQ(40 + table, 69U);
  EXPECT_EQ(one(128, 41, 169), "checksum of section 'a' does not match");
  EXPECT_EQ(one(0, 1, 169), "section 'a' begins at byte 0, not at 128");
  EXPECT_EQ(one(~uint64_t{0} - 63, 64, 169),
            "section 'a' begins at byte 18446744073709551552, not at 128");
  EXPECT_EQ(one(128, ~uint64_t{0} - 127, 169), "section 'a' would have 18446744073709551488 bytes");
  EXPECT_EQ(one(128, uint64_t{1} << 62, 169), "it is cut in section 'a', at byte 169 of 169");
  EXPECT_EQ(one(128, 41, 170), "the header tells of 170 bytes, the sections of 169");
  EXPECT_EQ(one(128, 40, 168), "1 bytes follow the last section");
}

TEST(SectionFileFault, ForgedTablesOfAnotherForm) {
  const std::string ok = row("a", 128, 0);
  EXPECT_EQ(outcome_of_bytes(forged(2, ok, 128, "")), "the table of sections ends too early");
  EXPECT_EQ(outcome_of_bytes(forged(0xFFFFFFFF, ok, 128, "")),
            "the table of sections ends too early");
  EXPECT_EQ(outcome_of_bytes(forged(1, ok + "x", 128, "")), "bytes follow the table of sections");
  EXPECT_EQ(outcome_of_bytes(forged(1, row("", 128, 0), 128, "")),
            "section 0 has a name of 0 bytes");
  EXPECT_EQ(outcome_of_bytes(forged(1, raw(uint32_t{200}) + "abc", 128, "")),
            "the table of sections ends too early");
  EXPECT_EQ(outcome_of_bytes(forged(2, ok + ok, 128, "")), "section 'a' occurs twice");
  std::string long_table = forged(1, ok, 128, std::string(59, '\0'));
  EXPECT_EQ(outcome_of_bytes(long_table), "read");
  const uint64_t huge = ~uint64_t{0} - 10;
  EXPECT_EQ(outcome_of_bytes(long_table.replace(16, 8, raw(huge))),
            "it is cut in the header, at byte 128");
}

TEST(SectionFileFault, AFailedSaveLeavesTheOldFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  const std::vector<Section> old = {{"weights", "old"}};
  bool reached = true;
  for (int n = 1; reached; ++n) {
    write_section_file(path, kMagic, 1, old);
    bool failed = false;
    {
      FaultyCalls calls({.at = n, .error = ENOSPC});
      SystemCallsScope scope(calls);
      try {
        write_section_file(path, kMagic, 1, sample());
      } catch (const IoError& error) {
        failed = std::string(error.what()).find("fsync of the folder") == std::string::npos;
      }
      reached = calls.reached();
    }
    const SectionFile now = read_section_file(path, kMagic, 1);
    ASSERT_EQ(now.text("weights"), failed ? "old" : kWeights) << "call " << n;
    ASSERT_EQ(list_folder(folder.path(), FileUse::model).size(), 1U);
  }
}

TEST(SectionFileFault, AProcessThatDiesLeavesAFileThatReads) {
  const TemporaryFolder folder;
  const std::string path = folder / "f";
  write_section_file(path, kMagic, 1, sample());
  int status = support::kDied;
  for (int n = 1; status == support::kDied; ++n) {
    status = support::run_in_child([&] {
      FaultyCalls calls({.at = n, .die = true});
      SystemCallsScope scope(calls);
      write_section_file(path, kMagic, 1, sample());
    });
    ASSERT_EQ(outcome(path), "read") << "call " << n;
  }
  EXPECT_EQ(status, 0);
}

}  // namespace stair
