// Sizes of files and lines, so that everything stays readable.
#include <gtest/gtest.h>

#include <iostream>
#include <map>

#include "core/error.h"
#include "tests/lint/source_tree.h"

namespace stair::lint {
namespace {

constexpr size_t kMostColumns = 100;
constexpr size_t kMostOptions = 10;
constexpr double kLeastTestShare = 0.45;  // grows to the 0.6 of the style guide

// Lines that a file may have; tables (.inc made by programs) have no limit.
size_t most_lines(const SourceFile& file) {
  if (file.path == "CMakeLists.txt") return 150;
  if (file.is_header()) return 250;
  if (!file.is_unit()) return SIZE_MAX;
  const bool program = file.folder() == "apps" && file.path.find('/') == file.path.rfind('/');
  return program ? 150 : 500;
}

Complaints long_files(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files)
    if (file.lines.size() > most_lines(file))
      complaints.push_back(
          str(file.path, ": ", file.lines.size(), " lines, at most ", most_lines(file)));
  return complaints;
}

// Characters, not bytes: continuation bytes of UTF-8 do not count.
size_t columns(const std::string& line) {
  size_t count = 0;
  for (const char c : line) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

Complaints long_lines(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files)
    for (size_t i = 0; i < file.lines.size(); ++i)
      if ((file.is_header() || file.is_unit()) && columns(file.lines[i]) > kMostColumns)
        complaints.push_back(str(file.path, ":", i + 1, ": ", columns(file.lines[i]),
                                 " columns, at most ", kMostColumns));
  return complaints;
}

size_t options_of(const SourceFile& build_file) {
  size_t count = 0;
  for (const std::string& line : build_file.lines)
    count += line.starts_with("option(") ||
             (line.starts_with("set(") && line.find(" CACHE ") != std::string::npos);
  return count;
}

// Lines of code by top-level folder.
std::map<std::string, size_t> line_counts(const std::vector<SourceFile>& files) {
  std::map<std::string, size_t> counts;
  for (const SourceFile& file : files)
    if (file.is_code()) counts[file.folder()] += file.lines.size();
  return counts;
}

double test_share(const std::map<std::string, size_t>& counts) {
  double tests = 0, sources = 0;
  for (const auto& [folder, lines] : counts)
    if (folder == "tests")
      tests += static_cast<double>(lines);
    else if (folder != "bench" && folder != "examples")
      sources += static_cast<double>(lines);
  return tests / sources;
}

std::string lines(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "x\n";
  return text;
}

TEST(Sizes, FilesStayShort) {
  EXPECT_EQ(text_of(long_files(project())), "");
}

TEST(Sizes, LongFilesAreFound) {
  EXPECT_EQ(
      long_files({source("core/a.cpp", lines(500)), source("core/a.h", lines(250)),
                  source("apps/a.cpp", lines(150)), source("apps/program/a.cpp", lines(151)),
                  source("tests/core/a.inc", lines(9000)), source("CMakeLists.txt", lines(150))})
          .size(),
      0U);
  EXPECT_EQ(long_files({source("core/a.cpp", lines(501)), source("core/a.h", lines(251)),
                        source("apps/a.cpp", lines(151)), source("CMakeLists.txt", lines(151)),
                        source("cuda/a.cu", lines(501))})
                .size(),
            5U);
}

TEST(Sizes, LinesStayWithinTheColumns) {
  EXPECT_EQ(text_of(long_lines(project())), "");
}

TEST(Sizes, LongLinesAreFound) {
  const std::string full(kMostColumns, 'x');
  EXPECT_EQ(
      long_lines({source("core/a.cpp", full + "\n" + full.substr(2) + "\xC3\xBC\xC3\xBC")}).size(),
      0U);
  EXPECT_EQ(text_of(long_lines({source("core/a.h", "x\n" + full + "x")})),
            "core/a.h:2: 101 columns, at most 100\n");
}

TEST(Sizes, TheBuildHasFewOptions) {
  for (const SourceFile& file : project()) {
    if (file.path != "CMakeLists.txt") continue;
    EXPECT_LE(options_of(file), kMostOptions);
  }
  EXPECT_EQ(options_of(source("CMakeLists.txt",
                              "option(A \"a\" ON)\nset(B \"\" CACHE STRING \"b\")\nset(C 20)")),
            2U);
}

TEST(Sizes, TestsAreALargePartOfTheCode) {
  const std::map<std::string, size_t> counts = line_counts(project());
  for (const auto& [folder, lines_there] : counts)
    std::cout << folder << ": " << lines_there << " lines\n";
  std::cout << "test lines a source line: " << test_share(counts) << '\n';
  EXPECT_GE(test_share(counts), kLeastTestShare);
}

TEST(Sizes, TheShareOfTestsIsTakenFromTheSources) {
  const auto counts =
      line_counts({source("core/a.cpp", lines(80)), source("nn/a.h", lines(20)),
                   source("tests/nn/a_test.cpp", lines(50)), source("bench/a.cpp", lines(1000)),
                   source("tests/golden/a.json", lines(1000))});
  EXPECT_DOUBLE_EQ(test_share(counts), 0.5);
}

}  // namespace
}  // namespace stair::lint
