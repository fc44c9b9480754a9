// docs/seeds.md and docs/faults.md name tests that exist, and the latter every row of its groups.
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "core/error.h"
#include "tests/lint/source_tree.h"

namespace stair::lint {
namespace {

// "Suite.Name" of every test, and "Suite.*".
std::set<std::string> test_names(const std::vector<SourceFile>& files) {
  static const std::regex kTest("TEST(?:_F|_P)?\\(\\s*(\\w+),\\s*(\\w+)\\)");
  std::set<std::string> names;
  for (const SourceFile& file : files) {
    if (file.folder() != "tests") continue;
    std::string text;
    for (const std::string& line : file.lines) text += line + '\n';
    for (std::sregex_iterator it(text.begin(), text.end(), kTest), end; it != end; ++it) {
      names.insert((*it)[1].str() + "." + (*it)[2].str());
      names.insert((*it)[1].str() + ".*");
    }
  }
  return names;
}

std::string document(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(std::string(STAIR_SOURCE_DIR) + "/docs/" + name).rdbuf();
  return text.str();
}

Complaints unknown_tests(const std::string& document, const std::string& text,
                         const std::set<std::string>& names) {
  static const std::regex kNamed("`([A-Z]\\w+\\.(?:[A-Z]\\w+|\\*))`");
  Complaints complaints;
  for (std::sregex_iterator it(text.begin(), text.end(), kNamed), end; it != end; ++it)
    if (!names.contains((*it)[1].str()))
      complaints.push_back(str("docs/", document, ": there is no test ", (*it)[1].str()));
  return complaints;
}

// Rows of a table that name no test, and rows 1 to `last` of `group` that are not there.
Complaints rows_without_test(const std::string& text, char group, int last) {
  Complaints complaints;
  for (int row = 1; row <= last; ++row) {
    const std::string name = str(group, row < 10 ? "0" : "", row);
    std::istringstream lines(text);
    bool shown = false;
    for (std::string line; std::getline(lines, line);)
      shown = shown || (line.starts_with("| ") &&
                        line.substr(0, line.find(" |", 2)).find(name) != std::string::npos &&
                        std::regex_search(line, std::regex("`[A-Z]\\w+\\.[A-Z]\\w+`")));
    if (!shown) complaints.push_back("docs/faults.md: no test for row " + name);
  }
  return complaints;
}

TEST(Documents, NameTestsThatExist) {
  const std::set<std::string> names = test_names(project());
  for (const char* name : {"seeds.md", "faults.md"}) {
    const std::string text = document(name);
    EXPECT_GT(text.size(), 1000U) << name;
    EXPECT_EQ(text_of(unknown_tests(name, text, names)), "");
  }
}

TEST(Documents, EveryRowOfTheFaultsHasItsTest) {
  const std::string text = document("faults.md");
  for (const auto& [group, last] : std::map<char, int>{{'P', 22}, {'S', 20}, {'O', 10}})
    EXPECT_EQ(text_of(rows_without_test(text, group, last)), "");
}

TEST(Documents, AMissingTestIsFound) {
  const auto names = test_names({source("tests/a_test.cpp", "TEST(Some,\n     Thing) {\n}")});
  EXPECT_EQ(unknown_tests("a", "`Some.Thing`, `Some.*`, `file.cpp`", names).size(), 0U);
  EXPECT_EQ(unknown_tests("a", "`Some.Other` `Others.*`", names).size(), 2U);
  const std::string rows = "| P01, P02 | x | `Some.Thing` |\n| P03 | P04 | none |\n";
  EXPECT_EQ(rows_without_test(rows, 'P', 2).size(), 0U);
  EXPECT_EQ(rows_without_test(rows, 'P', 4).size(), 2U);
}

}  // namespace
}  // namespace stair::lint
