#include "core/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/random.h"

namespace stair {
namespace {

template <class F>
std::string message(const F& f) {
  try {
    f();
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

std::string parse_message(std::string_view text) {
  return message([&] { parse_json(text, "t"); });
}

constexpr std::string_view kSample =
    R"({"null":null,"yes":true,"no":false,"int":-3,"big":18446744073709551615,"real":0.1,)"
    R"("text":"a\"\\\n\u0001é","list":[1,[],{}],"z":{"b":1,"a":2}})";

}  // namespace

TEST(Json, RoundTripsEveryTypeInOrder) {
  const Json json = parse_json(kSample);
  EXPECT_EQ(json.dump(), kSample);
  EXPECT_EQ(parse_json(json.dump(2)), json);
  EXPECT_EQ(json.at("int").as_int(), -3);
  EXPECT_EQ(json.at("big").as_uint(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(json.at("text").as_string(), "a\"\\\n\x01é");
  EXPECT_EQ(json.at("list").at(0).as_double(), 1.0);
  EXPECT_TRUE(json.at("null").is_null());
  EXPECT_EQ(json.find("none"), nullptr);
}

TEST(Json, IndentedFormHasOneMemberALine) {
  const Json json = parse_json(R"({"a":[1,2],"b":{}})");
  EXPECT_EQ(json.dump(2), "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}");
}

TEST(Json, BuildsInInsertionOrderAndReplaces) {
  Json json;
  json.set("b", 1).set("a", "x").set("b", Json().push_back(2.0F).push_back(size_t{3}));
  EXPECT_EQ(json.dump(), R"({"b":[2.0,3],"a":"x"})");
  EXPECT_EQ(json.size(), 2U);
  EXPECT_THROW(Json(1).set("a", 2), FormatError);
}

TEST(Json, DoublesReadBackToTheSameBits) {
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto bits = static_cast<uint64_t>(random.bits()) << 32 | random.bits();
    const auto value = std::bit_cast<double>(bits);
    if (!std::isfinite(value)) continue;
    const double back = parse_json(Json(value).dump()).as_double();
    ASSERT_EQ(std::bit_cast<uint64_t>(back), bits) << Json(value).dump();
  }
  EXPECT_EQ(Json(1.0).dump(), "1.0");
  EXPECT_EQ(Json(-0.0).dump(), "-0.0");
  EXPECT_EQ(Json(5e-324).dump(), "5e-324");
  EXPECT_EQ(Json(0.1).dump(), "0.1");
}

TEST(Json, NumbersThatJsonLacksAreRefused) {
  EXPECT_THROW(Json(std::nan("")).dump(), FormatError);
  EXPECT_EQ(message([] { Json(-std::numeric_limits<double>::infinity()).dump(); }),
            "json: -inf cannot be written: JSON has no such number");
}

TEST(Json, IntegersAreWholeOrAnError) {
  EXPECT_EQ(parse_json("-9223372036854775808").as_int(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(message([] { parse_json("9223372036854775808").as_int(); }),
            "json: 9223372036854775808 does not fit a signed 64-bit integer");
  EXPECT_EQ(message([] { parse_json("18446744073709551616").as_uint(); }),
            "json: expected integer, found number 18446744073709551616.0");
  EXPECT_EQ(message([] { parse_json("1.0").as_int(); }),
            "json: expected integer, found number 1.0");
  EXPECT_EQ(message([] { parse_json("-1").as_uint(); }),
            "json: expected an integer of at least 0, found -1");
  EXPECT_EQ(Json(uint64_t{7}), Json(7));
}

TEST(Json, AccessErrorsNameTypesAndKeys) {
  const Json json = parse_json(R"({"weight":"x","list":[]})");
  EXPECT_EQ(message([&] { json.at("weight").as_int(); }),
            "json: expected integer, found string \"x\"");
  EXPECT_EQ(message([&] { json.at("list").as_bool(); }), "json: expected bool, found array");
  EXPECT_EQ(message([&] { json.at("list").at(size_t{0}); }), "json: element 0 of an array of 0");
  EXPECT_EQ(message([&] { json.at("list").at("a"); }), "json: expected object, found array");
  try {
    json.at("wieght");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_STREQ(error.what(), "json: key 'wieght' is missing");
    EXPECT_EQ(error.hint(), "did you mean 'weight'?");
  }
}

TEST(JsonFault, EveryErrorNamesItsByte) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "t: byte 0: a value was expected, found the end"},
      {"  x", "t: byte 2: a value was expected, found 'x'"},
      {"[1,]", "t: byte 3: a value was expected, found ']'"},
      {"[1 2]", "t: byte 3: ',' or ']' was expected, found '2'"},
      {"[", "t: byte 1: a value was expected, found the end"},
      {"{\"a\" 1}", "t: byte 5: ':' was expected, found '1'"},
      {"{a:1}", "t: byte 1: a key in quotes was expected, found 'a'"},
      {"{\"a\":1,}", "t: byte 7: a key in quotes was expected, found '}'"},
      {"{\"a\":1", "t: byte 6: ',' or '}' was expected, found the end"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "t: byte 13: duplicate key 'a'"},
      {"1 1", "t: byte 2: the end was expected, found '1'"},
      {"01", "t: byte 0: a number must not begin with 0"},
      {"-", "t: byte 1: a digit was expected, found the end"},
      {"1.", "t: byte 2: a digit was expected, found the end"},
      {".5", "t: byte 0: a value was expected, found '.'"},
      {"1e", "t: byte 2: a digit was expected, found the end"},
      {"1e999", "t: byte 0: this number is beyond a double"},
      {"NaN", "t: byte 0: a value was expected, found 'N'"},
      {"truth", "t: byte 0: a value was expected, found 't'"},
      {"\"abc", "t: byte 0: this string has no end"},
      {"\"a\nb\"", "t: byte 2: a control character in a string must be escaped"},
      {"\"\\x\"", "t: byte 1: unknown escape"},
      {"\"\\u12\"", "t: byte 1: \\u needs four hexadecimal digits"},
      {"\"\\u12g4\"", "t: byte 1: \\u needs four hexadecimal digits"},
      {"\"\\ud800\"", "t: byte 1: half of a surrogate pair"},
      {"\"\\ud800\\u0041\"", "t: byte 1: half of a surrogate pair"},
      {"\"\\udc00\"", "t: byte 1: half of a surrogate pair"},
      {"\"a\xff\"", "t: byte 2: not UTF-8"},
      {"\"\xc0\x80\"", "t: byte 1: not UTF-8"},
      {"\xef\xbb\xbf{}", "t: byte 0: a value was expected, found '\\xef'"},
  };
  for (const auto& [text, wanted] : cases) EXPECT_EQ(parse_message(text), wanted);
  EXPECT_EQ(parse_message(std::string_view("{}\0", 3)),
            "t: byte 2: the end was expected, found '\\x00'");
  EXPECT_EQ(parse_message(std::string_view("\"\\\0\"", 4)), "t: byte 1: unknown escape");
}

TEST(JsonFault, NestingStopsAtTheLimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(64)));
  EXPECT_EQ(parse_message(nested(65)), "t: byte 64: more than 64 levels");
  EXPECT_EQ(parse_message(std::string(100000, '[')), "t: byte 64: more than 64 levels");
}

TEST(JsonFault, TheNumberOfValuesIsBounded) {
  EXPECT_EQ(message([] { parse_json("[1,2,3]", "t", {.depth = 64, .values = 3}); }),
            "t: byte 5: more than 3 values");
}

TEST(JsonFault, EveryPrefixIsAnError) {
  for (size_t n = 0; n < kSample.size(); ++n)
    EXPECT_THROW(parse_json(kSample.substr(0, n)), FormatError) << n;
}

TEST(JsonFault, FlippedBitsAreAnErrorOrAValue) {
  Random random(2);
  for (int i = 0; i < 20000; ++i) {
    std::string text(kSample);
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      text[random.below(text.size())] ^= static_cast<char>(1 << random.below(8));
    try {
      const Json json = parse_json(text);
      ASSERT_EQ(parse_json(json.dump()), json);
    } catch (const FormatError&) {
    }
  }
}

TEST(Json, SurrogatePairsBecomeOneCharacter) {
  EXPECT_EQ(parse_json(R"("\ud83d\ude00\u00e9\u20ac\/")").as_string(), "😀é€/");
}

TEST(JsonFault, TextThatIsNotUtf8IsNotWritten) {
  EXPECT_EQ(message([] { Json("a\xff").dump(); }), "json: 'a\\xff' is not UTF-8 at its byte 1");
}

}  // namespace stair
