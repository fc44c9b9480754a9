#include "core/text.h"

#include <gtest/gtest.h>

namespace stair {

TEST(Printable, LeavesOrdinaryNamesAlone) {
  EXPECT_EQ(printable("layer1.0.conv1.weight"), "layer1.0.conv1.weight");
  EXPECT_EQ(printable("größe 模型"), "größe 模型");
}

TEST(Printable, EscapesWhatActsOnATerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\n\t\r\x7f"), "a\\x1b[31mb\\n\\t\\r\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\x9b");  // C1 form of ESC [
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u{202e}b");                        // right-to-left override
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");  // no UTF-8
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, ShortensAndTellsTheLength) {
  EXPECT_EQ(printable(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(printable(std::string(1 << 20, 'x')), std::string(80, 'x') + "...(1048576 bytes)");
  EXPECT_EQ(printable("äöü", 2), "äö...(6 bytes)");
}

TEST(Quoted, ShortensNamesButHardlyPaths) {
  EXPECT_EQ(in_quotes("a\n"), "'a\\n'");
  EXPECT_EQ(in_quotes(std::string(81, 'x')), "'" + std::string(80, 'x') + "...(81 bytes)'");
  EXPECT_EQ(path_in_quotes(std::string(1000, 'x')), "'" + std::string(1000, 'x') + "'");
}

TEST(DecodeUtf8, RefusesMalformedSequences) {
  for (std::string_view bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x80\x80\x80", "\xe2\x82", "\xff", "", "\xf8\x88\x80\x80\x80", "\xc3("}) {
    size_t position = 0;
    EXPECT_FALSE(decode_utf8(bad, position)) << printable(bad);
    EXPECT_EQ(position, 0U);
  }
}

TEST(DecodeUtf8, ReadsOneCharacterOfEachLength) {
  const std::string_view text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80";
  size_t position = 0;
  for (char32_t wanted : {U'a', U'ä', U'€', U'😀'}) EXPECT_EQ(decode_utf8(text, position), wanted);
  EXPECT_EQ(position, text.size());
}

TEST(Join, ListsAndCountsTheRest) {
  const std::vector<std::string> items = {"a", "b\n", "c"};
  EXPECT_EQ(join(items), "a, b\\n, c");
  EXPECT_EQ(join(items, "|", 2), "a|b\\n ... and 1 more");
  EXPECT_EQ(join({}), "");
}

TEST(EditDistance, CountsChangesAndSwaps) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("epoch", "EPOCHS"), 1U);
  EXPECT_EQ(edit_distance("wieght", "weight"), 1U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
}

TEST(Nearest, FindsTheIntendedNameOrNone) {
  const std::vector<std::string> names = {"resnet18", "resnet50", "mobilenet_v2"};
  EXPECT_EQ(nearest("resnet81", names), "resnet18");
  EXPECT_EQ(nearest("mobilnet_v2", names), "mobilenet_v2");
  EXPECT_EQ(nearest("vgg", names), "");
  EXPECT_EQ(nearest(std::string(200, 'r'), names), "");
}

TEST(DidYouMean, AsksOrLists) {
  const std::vector<std::string> names = {"epochs", "lr"};
  EXPECT_EQ(did_you_mean("epoch", names), "did you mean 'epochs'?");
  EXPECT_EQ(did_you_mean("zzzzzz", names), "known: epochs, lr");
  EXPECT_EQ(did_you_mean("x", {}), "");
}

}  // namespace stair
