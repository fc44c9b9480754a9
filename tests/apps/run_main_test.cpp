#include "apps/program/run_main.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "apps/program/exit_codes.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace stair::apps {
namespace {

struct Outcome {
  int code;
  std::string out, err;
};

Outcome run(const Program& program, const std::vector<std::string>& arguments = {},
            bool color = false) {
  std::ostringstream out, err;
  const int code = run_program(arguments, program, out, err, color);
  return {code, out.str(), err.str()};
}

template <class Thrown>
Program throws(Thrown thrown) {
  return [thrown](const auto&) -> int { throw thrown; };
}

TEST(RunMain, TheProgramsOwnCodeIsKept) {
  EXPECT_EQ(run([](const auto&) { return 0; }).code, 0);
  EXPECT_EQ(run([](const auto&) { return 9; }).code, 9);
  EXPECT_EQ(
      run([](const auto& arguments) { return static_cast<int>(arguments.size()); }, {"a", "b"})
          .code,
      2);
}

TEST(RunMainFault, EveryErrorTypeHasItsExitCode) {
  EXPECT_EQ(run(throws(ShapeError("x"))).code, 1);
  EXPECT_EQ(run(throws(ConfigError("x"))).code, 2);
  EXPECT_EQ(run(throws(DataError("x"))).code, 3);
  EXPECT_EQ(run(throws(FormatError("x"))).code, 4);
  EXPECT_EQ(run(throws(IoError("x"))).code, 5);
  EXPECT_EQ(run(throws(MemoryError("x"))).code, 6);
  EXPECT_EQ(run(throws(DeviceError("x"))).code, 7);
  EXPECT_EQ(run(throws(NumericsError("x"))).code, 8);
  EXPECT_EQ(run(throws(std::bad_alloc())).code, 6);
  EXPECT_EQ(run(throws(std::runtime_error("x"))).code, 1);
  EXPECT_EQ(run(throws(42)).code, 1);
}

TEST(RunMainFault, TheMessageIsOneErrorAndOneHint) {
  const Outcome outcome = run(throws(DataError("no folder 'x'", "make it")));
  EXPECT_EQ(outcome.err, "error: no folder 'x'\nhint: make it\n");
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(run(throws(DataError("no folder 'x'"))).err, "error: no folder 'x'\n");
  EXPECT_EQ(run(throws(DataError("x", "y")), {}, true).err,
            "\x1b[31merror:\x1b[0m x\n\x1b[36mhint:\x1b[0m y\n");
}

TEST(RunMainFault, NamesFromFilesCannotActOnTheTerminal) {
  EXPECT_EQ(run(throws(DataError("file 'a\n\x1b[31mb\xFF'"))).err,
            "error: file 'a\\n\\x1b[31mb\\xff'\n");
}

TEST(RunMainFault, WithJsonTheErrorIsOneObject) {
  const Outcome outcome = run(throws(FormatError("tensor \"fc\"", "try\tthis")), {"--json"});
  const Json object = parse_json(outcome.err);
  EXPECT_EQ(object.at("error").as_string(), "tensor \"fc\"");
  EXPECT_EQ(object.at("hint").as_string(), "try\\tthis");
  EXPECT_EQ(object.at("kind").as_string(), "format");
  EXPECT_EQ(object.at("exit_code").as_int(), 4);
  EXPECT_TRUE(run(throws(DataError("x")), {"--", "--json"}).err.starts_with("error: "));
}

TEST(RunMainFault, AFullStandardOutputIsNoSuccess) {
  std::ofstream full("/dev/full");
  std::ostringstream err;
  const Program program = [&](const auto&) {
    full << "result";
    return 0;
  };
  EXPECT_EQ(run_program({}, program, full, err), 5);
  EXPECT_TRUE(err.str().starts_with("error: cannot write to standard output")) << err.str();
}

TEST(RunMain, TheDocumentListsEveryExitCode) {
  const std::string page = read_file(STAIR_SOURCE_DIR "/docs/errors.md", 1 << 20, FileUse::data);
  for (const ExitCode& code : kExitCodes) {
    const std::string row = str("| ", code.code, " | ", code.meaning, " |");
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace stair::apps
