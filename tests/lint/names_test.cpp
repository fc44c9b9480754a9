// Names of files, marks of unfinished work, and a test for every quantizer.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "core/error.h"
#include "tests/lint/source_tree.h"

namespace stair::lint {
namespace {

// Names that say nothing about what is inside, as a folder or a file.
Complaints empty_names(const std::vector<SourceFile>& files) {
  static const std::regex kEmpty("(^|/)(utils?|common|misc|helpers?)(/|\\.|$)");
  Complaints complaints;
  for (const SourceFile& file : files)
    if (std::regex_search(file.path, kEmpty))
      complaints.push_back(file.path + ": the name does not say what is inside");
  return complaints;
}

// The marks are put together here, so that this file does not hold them.
Complaints unfinished(const std::vector<SourceFile>& files) {
  const std::string marks[] = {std::string("TO") + "DO", std::string("FIX") + "ME",
                               std::string("XX") + "X:"};
  Complaints complaints;
  for (const SourceFile& file : files)
    for (size_t i = 0; i < file.lines.size(); ++i)
      for (const std::string& mark : marks)
        if (file.is_code() && file.lines[i].find(mark) != std::string::npos)
          complaints.push_back(str(file.path, ":", i + 1, ": ", mark));
  return complaints;
}

Complaints untested_quantizers(const std::vector<SourceFile>& files) {
  std::set<std::string> paths;
  for (const SourceFile& file : files) paths.insert(file.path);
  Complaints complaints;
  for (const SourceFile& file : files) {
    const std::string test = "tests/qat/" + file.stem() + "_test.cpp";
    if (file.path.starts_with("qat/quantizers/") && file.path.ends_with(".cpp") &&
        !paths.contains(test))
      complaints.push_back(file.path + ": " + test + " is missing");
  }
  return complaints;
}

TEST(Names, SayWhatIsInside) {
  EXPECT_EQ(text_of(empty_names(project())), "");
}

TEST(Names, ThatSayNothingAreFound) {
  EXPECT_EQ(empty_names({source("core/utils.h", ""), source("apps/common/x.cpp", ""),
                         source("nn/helper.cpp", ""), source("a/misc", "")})
                .size(),
            4U);
  EXPECT_EQ(empty_names({source("core/text.h", ""), source("nn/uncommon.h", ""),
                         source("core/utility_x.h", "")})
                .size(),
            0U);
}

TEST(Names, NothingIsMarkedAsUnfinished) {
  EXPECT_EQ(text_of(unfinished(project())), "");
}

TEST(Names, MarksOfUnfinishedWorkAreFound) {
  EXPECT_EQ(unfinished({source("core/a.cpp", std::string("x\n// TO") + "DO: later\n// FIX" + "ME")})
                .size(),
            2U);
}

TEST(Names, EveryQuantizerHasItsTest) {
  EXPECT_EQ(text_of(untested_quantizers(project())), "");
}

TEST(Names, AQuantizerWithoutATestIsFound) {
  EXPECT_EQ(untested_quantizers({source("qat/quantizers/a.cpp", "")}).size(), 1U);
  EXPECT_EQ(
      untested_quantizers({source("qat/quantizers/a.cpp", ""), source("tests/qat/a_test.cpp", "")})
          .size(),
      0U);
}

}  // namespace
}  // namespace stair::lint
