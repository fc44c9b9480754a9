// docs/seeds.md names tests that exist.
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

Complaints unknown_tests(const std::string& text, const std::set<std::string>& names) {
  static const std::regex kNamed("`([A-Z]\\w+\\.(?:[A-Z]\\w+|\\*))`");
  Complaints complaints;
  for (std::sregex_iterator it(text.begin(), text.end(), kNamed), end; it != end; ++it)
    if (!names.contains((*it)[1].str()))
      complaints.push_back("docs/seeds.md: there is no test " + (*it)[1].str());
  return complaints;
}

TEST(Seeds, TheDocumentNamesTestsThatExist) {
  std::ostringstream text;
  text << std::ifstream(std::string(STAIR_SOURCE_DIR) + "/docs/seeds.md").rdbuf();
  EXPECT_GT(text.str().size(), 1000U);
  EXPECT_EQ(text_of(unknown_tests(text.str(), test_names(project()))), "");
}

TEST(Seeds, AMissingTestIsFound) {
  const auto names = test_names({source("tests/a_test.cpp", "TEST(Some,\n     Thing) {\n}")});
  EXPECT_EQ(unknown_tests("`Some.Thing`, `Some.*`, `file.cpp`", names).size(), 0U);
  EXPECT_EQ(unknown_tests("`Some.Other` `Others.*`", names).size(), 2U);
}

}  // namespace
}  // namespace stair::lint
