// The rows of group S of the fault table: malformed safetensors files.
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/file.h"
#include "core/random.h"
#include "core/safetensors.h"
#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair {
namespace {

using support::TemporaryFolder;

std::string with_length(uint64_t length, const std::string& rest) {
  return std::string(reinterpret_cast<const char*>(&length), 8) + rest;
}

std::string with_header(const std::string& header, const std::string& data = "") {
  return with_length(header.size(), header + data);
}

// A header of one tensor 'a'.
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}}";
}

// What reading says after the path, or the number of tensors read.
std::string outcome(const std::string& bytes) {
  static const TemporaryFolder folder;
  const std::string path = folder.put("t", bytes);
  try {
    return std::to_string(read_safetensors(path).tensors.size());
  } catch (const FormatError& error) {
    EXPECT_EQ(error.exit_code(), 4);
    const std::string what = error.what(), start = "cannot read '" + path + "': ";
    EXPECT_TRUE(what.starts_with(start)) << what;
    return what.substr(start.size());
  }
}

}  // namespace

TEST(SafeTensorsFault, S01ShorterThanEightBytes) {
  EXPECT_EQ(outcome(""), "it has 0 bytes, a safetensors file has at least 8");
  EXPECT_EQ(outcome("1234567"), "it has 7 bytes, a safetensors file has at least 8");
}

TEST(SafeTensorsFault, S02HeaderLengthOverTheLimit) {
  EXPECT_EQ(outcome(with_length(uint64_t{1} << 63, "{}")),
            "its header would have 9223372036854775808 bytes, at most 100000000 are allowed");
  EXPECT_EQ(outcome(with_length(100'000'001, "{}")),
            "its header would have 100000001 bytes, at most 100000000 are allowed");
  EXPECT_EQ(outcome(with_length(~uint64_t{0}, "{}")),
            "its header would have 18446744073709551615 bytes, at most 100000000 are allowed");
}

TEST(SafeTensorsFault, S03HeaderLengthBeyondTheFile) {
  EXPECT_EQ(outcome(with_length(3, "{}")), "its header of 3 bytes goes beyond the end at byte 10");
  EXPECT_EQ(outcome(with_length(100'000'000, "{}")),
            "its header of 100000000 bytes goes beyond the end at byte 10");
}

TEST(SafeTensorsFault, S04HeaderThatIsNotUtf8OrJsonOrIsNestedDeeply) {
  EXPECT_EQ(outcome(with_header("{\"a\xff\":1}")), "header: byte 3: not UTF-8");
  EXPECT_EQ(outcome(with_header("{\"a\":}")), "header: byte 5: a value was expected, found '}'");
  EXPECT_EQ(outcome(with_header("{\"a\":" + std::string(100000, '['))),
            "header: byte 68: more than 64 levels");
  EXPECT_EQ(outcome(with_header("")), "its header does not begin with '{'");
  EXPECT_EQ(outcome(with_header("[]")), "its header does not begin with '{'");
}

TEST(SafeTensorsFault, S05TheSameNameTwice) {
  const std::string entry = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(outcome(with_header("{" + entry + "," + entry + "}", "x")),
            "header: byte 53: duplicate key 'a'");
  EXPECT_EQ(outcome(with_header(R"({"a":{"dtype":"U8","dtype":"I8","shape":[0]}})")),
            "header: byte 19: duplicate key 'dtype'");
}

TEST(SafeTensorsFault, S06HolesOverlapsAndSharedBytes) {
  const auto two = [](const char* first, const char* second) {
    return with_header(std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)") + first +
                           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}",
                       "wxyz");
  };
  EXPECT_EQ(outcome(two("[0,2]", "[2,4]")), "2");
  EXPECT_EQ(outcome(two("[0,2]", "[3,5]")),
            "tensor 'b': bytes 2 to 3 before it belong to no tensor");
  EXPECT_EQ(outcome(two("[1,3]", "[3,5]")),
            "tensor 'a': bytes 0 to 1 before it belong to no tensor");
  EXPECT_EQ(outcome(two("[0,2]", "[1,3]")), "tensor 'b': it shares bytes 1 to 2 with tensor 'a'");
  EXPECT_EQ(outcome(two("[0,2]", "[0,2]")), "tensor 'b': it shares bytes 0 to 2 with tensor 'a'");
}

TEST(SafeTensorsFault, S07BytesLeftOverOrTooFew) {
  EXPECT_EQ(outcome(with_header(tensor("U8", "[2]", "[0,2]"), "xyz")),
            "1 bytes follow the last tensor");
  EXPECT_EQ(outcome(with_header(tensor("U8", "[2]", "[0,2]"), "x")),
            "tensor 'a': it ends at byte 2 of the data, which has 1");
  EXPECT_EQ(outcome(with_header("{}", "x")), "1 bytes follow the last tensor");
}

TEST(SafeTensorsFault, S08SpanThatIsNotTypeTimesShape) {
  EXPECT_EQ(outcome(with_header(tensor("F32", "[2]", "[0,4]"), "1234")),
            "tensor 'a': shape [2] F32 takes 8 bytes, data_offsets span 4");
  EXPECT_EQ(outcome(with_header(tensor("U8", "[]", "[0,2]"), "12")),
            "tensor 'a': shape [] U8 takes 1 bytes, data_offsets span 2");
}

TEST(SafeTensorsFault, S09ShapesWhoseProductWraps) {
  // 2^33 * 2^31 * 4 wraps to 0, 4294967297 * 4294967297 * 4294967297 to a small odd number.
  EXPECT_EQ(outcome(with_header(tensor("F32", "[8589934592,2147483648]", "[0,0]"))),
            "tensor 'a': shape [8589934592,2147483648] has more than 2^63 bytes");
  EXPECT_EQ(outcome(with_header(tensor("U8", "[3,6148914691236517206]", "[0,2]"), "12")),
            "tensor 'a': shape [3,6148914691236517206] has more than 2^63 bytes");
  EXPECT_EQ(outcome(with_header(tensor("U8", "[4294967296,4294967296,0]", "[0,0]"))),
            "tensor 'a': shape [4294967296,4294967296,0] has more than 2^63 bytes");
  EXPECT_EQ(outcome(with_header(tensor("F16", "[2305843009213693952]", "[0,0]"))),
            "tensor 'a': shape [2305843009213693952] has more than 2^63 bytes");
}

TEST(SafeTensorsFault, S10NumbersThatAreNoSuchIntegers) {
  for (const char* bad : {"-1", "0.5", "1.0", "1e0", "\"1\"", "null", "18446744073709551617",
                          "9223372036854775808", "true", "[1]"}) {
    const std::string dims =
        outcome(with_header(tensor("U8", std::string("[") + bad + "]", "[0,1]"), "x"));
    EXPECT_TRUE(dims.starts_with("tensor 'a': shape holds ")) << dims;
    for (const auto& offsets : {std::string("[0,") + bad + "]", std::string("[") + bad + ",1]"}) {
      const std::string text = outcome(with_header(tensor("U8", "[1]", offsets), "x"));
      EXPECT_TRUE(text.starts_with("tensor 'a': data_offsets holds ")) << text;
    }
  }
  EXPECT_EQ(outcome(with_header(tensor("U8", "[-1]", "[0,1]"), "x")),
            "tensor 'a': shape holds -1 where an integer from 0 to 2^63 - 1 is needed");
}

TEST(SafeTensorsFault, S11EndBeforeBegin) {
  EXPECT_EQ(outcome(with_header(tensor("U8", "[1]", "[1,0]"), "x")),
            "tensor 'a': data_offsets 1 to 0 run backwards");
}

TEST(SafeTensorsFault, S12UnknownTypesAreNamedWithTheOtherTensors) {
  const std::string known = ", known are F32, F64, U8, I8, I32, I64, BOOL, F16, BF16; ";
  EXPECT_EQ(outcome(with_header(tensor("F8_E4M3", "[1]", "[0,1]"), "x")),
            "tensor 'a' has dtype 'F8_E4M3'" + known + "the other tensors: none");
  const std::string three =
      R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
      R"("__metadata__":{},"y":{"dtype":"F4","shape":[2],"data_offsets":[1,2]},)"
      R"("z":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})";
  EXPECT_EQ(outcome(with_header(three, "123")),
            "tensor 'y' has dtype 'F4'" + known + "the other tensors: x, z");
  EXPECT_EQ(outcome(with_header(R"({"a":{"dtype":1,"shape":[1],"data_offsets":[0,1]}})", "x")),
            "tensor 'a': dtype is no string but integer");
}

TEST(SafeTensorsFault, S13BlanksRoundTheHeader) {
  const std::string header = tensor("U8", "[1]", "[0,1]");
  EXPECT_EQ(outcome(with_header(" " + header, "x")), "its header does not begin with '{'");
  EXPECT_EQ(outcome(with_header(header + "     ", "x")), "1");
  EXPECT_EQ(outcome(with_header(header + std::string(3, '\0'), "x")),
            "header: byte 53: the end was expected, found '\\x00'");
}

TEST(SafeTensorsFault, S14MetadataThatIsNoText) {
  EXPECT_EQ(outcome(with_header(R"({"__metadata__":{"epoch":3}})")),
            "__metadata__ entry 'epoch' is no string but integer");
  EXPECT_EQ(outcome(with_header(R"({"__metadata__":["a"]})")),
            "__metadata__ is no object but array");
}

TEST(SafeTensorsFault, S15EmptyThingsAreAccepted) {
  EXPECT_EQ(outcome(with_header("{}")), "0");
  EXPECT_EQ(outcome(with_header(R"({"__metadata__":{}})")), "0");
  EXPECT_EQ(outcome(with_header(tensor("F32", "[0,3]", "[0,0]"))), "1");
  EXPECT_EQ(outcome(with_header(tensor("F32", "[]", "[0,4]"), "1234")), "1");
  const std::string mixed = R"({"e1":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                            R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                            R"("e2":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})";
  EXPECT_EQ(outcome(with_header(mixed, "12")), "3");
}

TEST(SafeTensorsFault, S18NamesThatActOnATerminalOrFillIt) {
  const std::string entry = R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_EQ(outcome(with_header("{\"" + entry, "x")), "1");
  EXPECT_EQ(outcome(with_header(R"({"\u001b[31mred\u0007)" + entry)),
            "tensor '\\x1b[31mred\\x07': it ends at byte 1 of the data, which has 0");
  EXPECT_EQ(outcome(with_header("{\"" + std::string(1 << 20, 'n') + entry)),
            "tensor '" + std::string(80, 'n') +
                "...(1048576 bytes)': it ends at byte 1 of the data, which has 0");
  EXPECT_EQ(outcome(with_header("{\"" + std::string(1 << 20, 'n') + entry, "x")), "1");
}

TEST(SafeTensorsFault, S20AFileThatShrinksWhileItIsRead) {
  class Shrinking : public SystemCalls {
   public:
    explicit Shrinking(std::string path) : path_(std::move(path)) {}
    ssize_t pread(int fd, void* data, size_t size, off_t offset) override {
      if (size == 5000 && ::truncate(path_.c_str(), offset + 1000) != 0) return -1;
      return SystemCalls::pread(fd, data, size, offset);
    }

   private:
    std::string path_;
  };
  const TemporaryFolder folder;
  const std::string path = folder / "t";
  write_file(path, with_header(tensor("U8", "[5000]", "[0,5000]"), std::string(5000, 'x')));
  Shrinking calls(path);
  SystemCallsScope scope(calls);
  try {
    read_safetensors(path);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.what(),
              "cannot read '" + path + "': it ends at byte 1067, it had 5067 when it was opened");
  }
}

TEST(SafeTensorsFault, EntriesOfAnotherForm) {
  EXPECT_EQ(outcome(with_header(R"({"a":1})")), "tensor 'a': an object was expected, not integer");
  EXPECT_EQ(outcome(with_header(R"({"a":{}})")), "tensor 'a': it has no data_offsets");
  EXPECT_EQ(outcome(with_header(R"({"a":{"data_offsets":[0,0],"shape":[0]}})")),
            "tensor 'a': it has no dtype");
  EXPECT_EQ(outcome(with_header(tensor("U8", "1", "[0,1]"))),
            "tensor 'a': shape is no array but integer");
  EXPECT_EQ(outcome(with_header(tensor("U8", "[1]", "[0,1,2]"))),
            "tensor 'a': data_offsets has 3 numbers, not 2");
  EXPECT_EQ(outcome(with_header(R"({"a":{"strides":[1]}})")), "tensor 'a': unknown key 'strides'");
  std::string shape = "[1";
  for (int i = 0; i < 32; ++i) shape += ",1";
  EXPECT_EQ(outcome(with_header(tensor("U8", shape + "]", "[0,1]"), "x")),
            "tensor 'a': 33 dimensions, at most 32 are allowed");
}

TEST(SafeTensorsFault, HeadersOfManyValuesAreBounded) {
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 1'000'000; ++i) many += ",0";
  EXPECT_EQ(outcome(with_header(many + "]}")), "header: byte 2000002: more than 1000000 values");
}

TEST(SafeTensorsFault, EveryPrefixIsAnError) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {{"conv.weight", Tensor::from<float>({1, 2, 3}, {3})},
                                            {"conv.zero_point", Tensor::from<int8_t>({-1}, {1})}};
  write_safetensors(folder / "t", tensors, {{"format", "pt"}});
  const std::string whole = read_file(folder / "t", 4096, FileUse::model);
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string text = outcome(whole.substr(0, n));
    EXPECT_NE(text, "2") << n;
  }
  EXPECT_EQ(outcome(whole), "2");
}

TEST(SafeTensorsFault, FlippedBitsAreAnErrorOrAResult) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {
      {"conv.weight", Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3})},
      {"conv.zero_point", Tensor::from<int8_t>({-1}, {1})}};
  write_safetensors(folder / "t", tensors, {{"format", "pt"}});
  const std::string whole = read_file(folder / "t", 4096, FileUse::model);
  const size_t header_end = whole.size() - 25;
  Random random(1);
  int errors = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = whole;
    for (uint64_t flips = 1 + random.below(2); flips > 0; --flips)
      bytes[random.below(header_end)] ^= static_cast<char>(1 << random.below(8));
    const std::string text = outcome(bytes);
    errors += text.size() > 1;
  }
  EXPECT_GT(errors, 500);
}

}  // namespace stair
