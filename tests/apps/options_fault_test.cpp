// Rows C01 to C16 of the faults: what is refused, and with which words.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/apps/option_case.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {
namespace {

TEST(OptionsFault, AnUnknownFlagNamesTheNearest) {
  EXPECT_EQ(refusal({"--epoch", "3"}), "unknown flag '--epoch' | did you mean --epochs?");
  EXPECT_EQ(refusal({"--epoch=3"}), "unknown flag '--epoch' | did you mean --epochs?");
  EXPECT_EQ(refusal({"--no-hflop"}), "unknown flag '--no-hflop' | did you mean --no-hflip?");
  EXPECT_EQ(refusal({"--zebra-crossing"}),
            "unknown flag '--zebra-crossing' | see qat_demo --help-all");
  EXPECT_EQ(refusal({"-Z"}).substr(0, 17), "unknown flag '-Z'");
}

TEST(OptionsFault, AnUnexpectedArgumentIsNamedWithoutItsEscapeCodes) {
  EXPECT_EQ(refusal({"pic\x1b[2Jtures"}),
            "unexpected argument 'pic\\x1b[2Jtures' | flags begin with --, see qat_demo --help");
}

TEST(OptionsFault, AnUnknownNameShowsTheNearestAndTheList) {
  EXPECT_EQ(refusal({"--opt", "sdg"}),
            "--opt 'sdg': expected one of sgd, adam, adamw | did you mean 'sgd'?");
  EXPECT_EQ(refusal({"--opt", "lion"}), "--opt 'lion': expected one of sgd, adam, adamw | ");
}

TEST(OptionsFault, RealNumbersAreFiniteAndInRange) {
  for (const char* bad :
       {"nan", "inf", "-inf", "NaN", "-1", "0", "0x1p3", "1,5", "1 ", " 1", "1e", "", "one"})
    EXPECT_NE(refusal({"--lr", bad}), "accepted") << bad;
  EXPECT_EQ(refusal({"--lr", "nan"}), "--lr 'nan': expected a number above 0 | ");
  EXPECT_EQ(refusal({"--lr", "-1"}), "--lr '-1': expected a number above 0 | ");
  EXPECT_EQ(refusal({"--lr=1e999"}),
            "--lr '1e999': a double cannot hold this number, expected a number above 0 | ");
  EXPECT_EQ(refusal({"--mean", "0,1,2"}), "--mean '0,1,2': expected a number from 0 to 1 | ");
  EXPECT_EQ(refusal({"--mean", "0,1"}),
            "--mean '0,1': expected 3 numbers, each a number from 0 to 1 | ");
}

TEST(OptionsFault, IntegersAreDecimalWholeAndInRange) {
  for (const char* bad : {"0", "-1", "99999999999", "1.5", "0x10", "010x", "1e3", "", " 8",
                          "99999999999999999999999"})
    EXPECT_EQ(refusal({"--batch-size", bad}),
              std::string("--batch-size '") + bad + "': expected an integer from 1 to 65536 | ");
}

TEST(OptionsFault, ALimitSaysWhyItIsThere) {
  int workers = 0;
  Options options("qat_demo", "");
  options.integer("--workers,-j", workers, {0, 8, "4 x cores"}, {.help = "threads"});
  std::ostringstream out;
  try {
    options.parse({"-j", "10000"}, out);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "--workers '10000': expected an integer from 0 to 8 (4 x cores)");
  }
}

TEST(OptionsFault, ContradictionsNameBoth) {
  EXPECT_EQ(refusal({"--resume", "a", "--weights", "b"}),
            "--resume and --weights contradict each other: a checkpoint holds weights itself | "
            "leave out --resume or --weights");
  EXPECT_THROW(refuse_both("--device cuda", "--amx", "no AMX on a GPU"), ConfigError);
}

TEST(OptionsFault, AFlagTwiceIsRefusedUnderAnyOfItsNames) {
  EXPECT_EQ(refusal({"--epochs", "1", "--epochs", "2"}), "--epochs is given twice | give it once");
  EXPECT_EQ(refusal({"--sched", "cosine", "--lr-scheduler", "cosine"}),
            "--lr-scheduler is given twice | give it once");
  EXPECT_EQ(refusal({"--hflip", "--no-hflip"}), "--hflip is given twice | give it once");
  EXPECT_EQ(refusal({"--model-ema", "--model-ema"}), "--model-ema is given twice | give it once");
}

TEST(OptionsFault, AMissingValueNeverTakesTheNextFlag) {
  EXPECT_EQ(refusal({"--data-path"}),
            "--data-path: the value is missing | write --data-path=VALUE");
  EXPECT_EQ(refusal({"--data-path", "--epochs", "3"}).substr(0, 55),
            "--data-path: the value is missing before '--epochs' | f");
  EXPECT_EQ(refusal({"--data-path=", "x"}),
            "--data-path=: the value is empty | leave the setting out instead");
  EXPECT_EQ(refusal({"--data-path", ""}),
            "--data-path '': the value is empty | leave the setting out instead");
}

TEST(OptionsFault, APathThatIsNotUtf8IsRefusedWithTheByte) {
  EXPECT_EQ(refusal({"--data-path", "a\xFFz"}),
            "--data-path 'a\\xffz': byte 1 is not UTF-8 | rename it, or reach it through a link");
}

TEST(OptionsFault, ASwitchTakesOnlyTrueOrFalse) {
  EXPECT_EQ(refusal({"--hflip=true"}), "accepted");
  EXPECT_NE(refusal({"--hflip=maybe"}), "accepted");
  EXPECT_NE(refusal({"--hflip=3"}), "accepted");
}

TEST(OptionsFault, AMissingRequiredFlagShowsAWorkingExample) {
  std::string data;
  Options options("qat_demo", "");
  options.text("--data-path", data, {.help = "folder", .required = true});
  options.example("qat_demo --data-path pictures", "does it");
  std::ostringstream out;
  try {
    options.parse({}, out);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "--data-path is required");
    EXPECT_EQ(error.hint(), "for example: qat_demo --data-path pictures");
  }
}

TEST(OptionsFault, ABadEnvironmentValueNamesTheVariable) {
  setenv("STAIR_DEMO_EPOCHS", "abc", 1);
  EXPECT_EQ(refusal({}), "STAIR_DEMO_EPOCHS='abc': expected an integer from 0 to 100000 | ");
  EXPECT_NE(refusal({"--epochs", "3"}), "accepted") << "a flag beside it does not hide it";
  unsetenv("STAIR_DEMO_EPOCHS");
}

struct ConfigFault : testing::Test {
  // The refusal of a file with this content, without the path of its folder.
  std::string refused(const std::string& content) {
    const std::string file = folder.put("run.toml", content);
    std::string said = refusal({"--config", file});
    for (size_t at; (at = said.find(file)) != std::string::npos;)
      said.replace(at, file.size(), "run.toml");
    return said;
  }
  support::TemporaryFolder folder;
};

TEST_F(ConfigFault, ASyntaxErrorHasItsPlace) {
  const std::string said = refused("epochs = 3\nlr = = 2\n");
  EXPECT_TRUE(said.starts_with("run.toml:2:6: ")) << said;
}

TEST_F(ConfigFault, AnUnknownKeyHasItsPlaceAndTheNearest) {
  EXPECT_EQ(refused("lr = 0.1\n  epoch = 3\n"),
            "run.toml:2:3: 'epoch' is no setting of qat_demo | did you mean 'epochs'?");
}

TEST_F(ConfigFault, AWrongTypeSaysBoth) {
  EXPECT_EQ(refused("epochs = '3'"),
            "run.toml:1:1: 'epochs' is a text, expected an integer from 0 to 100000 | ");
  EXPECT_EQ(refused("epochs = 3.0"),
            "run.toml:1:1: 'epochs' is a number with a fraction, expected an integer from 0 to "
            "100000 | ");
  EXPECT_EQ(refused("hflip = 1"), "run.toml:1:1: 'hflip' is an integer, expected true or false | ");
  EXPECT_EQ(refused("data-path = 5"),
            "run.toml:1:1: 'data-path' is an integer, expected a text | ");
  EXPECT_EQ(refused("mean = 0.5").substr(0, 45), "run.toml:1:1: 'mean' is a number with a fract");
  EXPECT_EQ(refused("skip-layers = ['a', [1]]").substr(0, 38),
            "run.toml:1:1: 'skip-layers' is an arra");
  EXPECT_EQ(refused("epochs = 1979-05-27").substr(0, 38), "run.toml:1:1: 'epochs' is a date or ti");
  EXPECT_EQ(refused("[epochs]\nx = 1").substr(0, 32), "run.toml:1:2: [epochs] is a tabl");
}

TEST_F(ConfigFault, AValueOutOfRangeHasItsPlace) {
  EXPECT_EQ(refused("\nbatch-size = 0"),
            "run.toml:2:1: 'batch-size': expected an integer from 1 to 65536 | ");
  EXPECT_EQ(refused("lr = nan"), "run.toml:1:1: 'lr': expected a number above 0 | ");
  EXPECT_EQ(refused("lr = inf"), "run.toml:1:1: 'lr': expected a number above 0 | ");
}

TEST_F(ConfigFault, ARepeatedKeyIsRefusedUnderAnyOfItsSpellings) {
  EXPECT_TRUE(refused("epochs = 3\nepochs = 4\n").starts_with("run.toml:2:"))
      << refused("epochs = 3\nepochs = 4\n");
  EXPECT_EQ(refused("batch-size = 3\nbatch_size = 4\n"),
            "run.toml:2:1: 'batch_size' is given twice, also at run.toml:1:1 | ");
  EXPECT_EQ(refused("batch-size = 3\nbatchsize = 4\n"),
            "run.toml:2:1: 'batch-size' is given twice, also at run.toml:1:1 | ");
}

TEST_F(ConfigFault, BytesThatAreNotUtf8AreCounted) {
  EXPECT_EQ(refused("# ab\xC3(\n"),
            "cannot read 'run.toml': byte 4 is not UTF-8 | save the file as UTF-8");
}

TEST_F(ConfigFault, HugeAndDeepFilesAreRefused) {
  EXPECT_EQ(refused(std::string((1 << 20) + 1, '#')),
            "cannot read 'run.toml': it has 1048577 bytes, at most 1048576 are allowed | ");
  EXPECT_TRUE(refused("mean = " + std::string(100000, '[')).starts_with("run.toml:1:"));
}

TEST_F(ConfigFault, AFileThatCannotBeReadSaysWhy) {
  EXPECT_NE(refusal({"-c", folder / "none.toml"}).find("No such file or directory"),
            std::string::npos);
  EXPECT_NE(refusal({"-c", folder.path()}).find("it is a folder"), std::string::npos);
}

TEST_F(ConfigFault, SettingsOfOneRunOnlyAreNotKeys) {
  EXPECT_NE(refused("resume = 'auto'").find("is no setting"), std::string::npos);
  EXPECT_NE(refused("config = 'other.toml'").find("is no setting"), std::string::npos);
}

}  // namespace
}  // namespace stair::apps
