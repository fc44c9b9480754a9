#include "apps/program/options.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/apps/option_case.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {
namespace {

TEST(Options, FlagsOfEveryKindAreRead) {
  OptionCase c;
  EXPECT_TRUE(c.parse({"--data-path", "a b/ü", "-b", "64", "--lr=1e-3", "--clip-grad-norm", "5",
                       "--opt", "adamw", "--model-ema", "--no-hflip", "--mean", "0.5,0.25,1",
                       "--skip-layers", "conv1,fc", "--num-classes=7"}));
  EXPECT_EQ(c.data, "a b/ü");
  EXPECT_EQ(c.batch, 64);
  EXPECT_EQ(c.lr, 1e-3);
  EXPECT_EQ(c.clip, 5.0);
  EXPECT_EQ(c.classes, 7);
  EXPECT_EQ(c.optimizer, "adamw");
  EXPECT_TRUE(c.ema);
  EXPECT_FALSE(c.flip);
  EXPECT_EQ(c.mean, (std::vector<double>{0.5, 0.25, 1}));
  EXPECT_EQ(c.skip, (std::vector<std::string>{"conv1", "fc"}));
}

TEST(Options, AliasesMeanTheSame) {
  OptionCase c;
  EXPECT_TRUE(c.parse({"--data-dir", "x", "--sched", "steplr", "--batch-size", "8"}));
  EXPECT_EQ(c.data, "x");
  EXPECT_EQ(c.scheduler, "steplr");
  EXPECT_EQ(c.batch, 8);
  EXPECT_TRUE(c.options.given("--data-path"));
  EXPECT_FALSE(c.options.given("--epochs"));
}

TEST(Options, UnsetStaysUnset) {
  OptionCase c;
  EXPECT_TRUE(c.parse({}));
  EXPECT_FALSE(c.clip.has_value());
  EXPECT_FALSE(c.classes.has_value());
  EXPECT_EQ(c.epochs, 10);
}

TEST(Options, ZeroEpochsAreAllowed) {
  OptionCase c;
  EXPECT_TRUE(c.parse({"--epochs", "0"}));
  EXPECT_EQ(c.epochs, 0);
}

TEST(Options, APathMayBeginWithADashAfterAnEqualsSign) {
  OptionCase c;
  EXPECT_TRUE(c.parse({"--data-path=-odd", "--weights=a=b"}));
  EXPECT_EQ(c.data, "-odd");
  EXPECT_EQ(c.weights, "a=b");
}

TEST(Options, HelpShowsTheUsualFlagsWithDefaultsAndExitCodes) {
  for (const char* word : {"--help", "-h", "help"}) {
    OptionCase c;
    EXPECT_FALSE(c.parse({word}));
    const std::string help = c.out.str();
    EXPECT_NE(help.find("-b, --batch-size N"), std::string::npos) << help;
    EXPECT_NE(help.find("(an integer from 1 to 65536; default 32)"), std::string::npos) << help;
    EXPECT_EQ(help.find("--clip-grad-norm"), std::string::npos);
    EXPECT_NE(help.find("qat_demo --data-path pictures\n      trains on a folder"),
              std::string::npos);
    EXPECT_NE(help.find("143"), std::string::npos);
    EXPECT_NE(help.find("--help-all shows "), std::string::npos);
  }
}

TEST(Options, HelpAllShowsEveryFlagInItsGroupWithinAHundredColumns) {
  OptionCase c;
  EXPECT_FALSE(c.parse({"--help-all"}));
  const std::string help = c.out.str();
  for (const char* part :
       {"--clip-grad-norm X", "--lr-scheduler, --sched NAME", "one of cosine, steplr", "\nData\n",
        "\nTraining\n", "(an integer from 0 to 100000, epochs;", "environment STAIR_DEMO_EPOCHS)",
        "default on, --no-hflip"})
    EXPECT_NE(help.find(part), std::string::npos) << part << " is missing in\n" << help;
  EXPECT_LT(help.find("\nData\n"), help.find("\nTraining\n"));
  EXPECT_LT(help.find("\nTraining\n"), help.find("\nGeneral\n"));
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(Options, VersionIsOneLine) {
  OptionCase c;
  EXPECT_FALSE(c.parse({"--version"}));
  EXPECT_TRUE(c.out.str().starts_with("qat_demo 0.")) << c.out.str();
}

TEST(Options, AFlagWinsOverEnvironmentOverFileOverDefault) {
  support::TemporaryFolder folder;
  const std::string file =
      folder.put("run.toml", "epochs = 1\nlr = 1\nbatch_size = 2\ndata-path = 'from file'\n");
  setenv("STAIR_DEMO_EPOCHS", "3", 1);
  setenv("STAIR_DEMO_DATA", "from environment", 1);
  OptionCase c;
  EXPECT_FALSE(c.parse({"--config", file, "--epochs", "4", "--print-config"}));
  unsetenv("STAIR_DEMO_EPOCHS");
  unsetenv("STAIR_DEMO_DATA");
  EXPECT_EQ(c.epochs, 4);
  EXPECT_EQ(c.data, "from environment");
  EXPECT_EQ(c.batch, 2);
  const std::string shown = c.out.str();
  EXPECT_NE(shown.find("epochs = 4  # flag --epochs\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("data-path = \"from environment\"  # environment STAIR_DEMO_DATA\n"),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("lr = 1.0  # " + file + ":2:1\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("opt = \"sgd\"  # default\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("# clip-grad-norm is not set\n"), std::string::npos) << shown;
}

TEST(Options, TheResolvedConfigurationRepeatsTheRun) {
  support::TemporaryFolder folder;
  OptionCase first;
  first.parse({"--data-path", "a \"b\"\\\n\x01ü", "--lr", "0.30000000000000004", "--skip-layers",
               "x,y", "--no-hflip", "--mean=0,1,0.1", "--resume", "auto"});
  const std::string file = folder.put("config.toml", first.options.to_toml());
  OptionCase second;
  EXPECT_TRUE(second.parse({"-c", file}));
  EXPECT_EQ(second.data, first.data);
  EXPECT_EQ(second.lr, first.lr);
  EXPECT_EQ(second.skip, first.skip);
  EXPECT_EQ(second.mean, first.mean);
  EXPECT_EQ(second.flip, first.flip);
  EXPECT_EQ(second.resume, "") << "what only concerns one run is not repeated";
}

TEST(Options, AFileMayHaveAByteOrderMarkAndWindowsLineEnds) {
  support::TemporaryFolder folder;
  OptionCase c;
  EXPECT_TRUE(c.parse({"-c", folder.put("x.toml",
                                        "\xEF\xBB\xBF"
                                        "epochs = 7\r\nmodel-ema = true\r\n")}));
  EXPECT_EQ(c.epochs, 7);
  EXPECT_TRUE(c.ema);
}

TEST(Options, ARenamedKeyIsAcceptedWithALine) {
  support::TemporaryFolder folder;
  const std::string file = folder.put("old.toml", "batchsize = 5");
  OptionCase c;
  EXPECT_TRUE(c.parse({"-c", file}));
  EXPECT_EQ(c.batch, 5);
  ASSERT_EQ(c.options.notes().size(), 1U);
  EXPECT_EQ(c.options.notes()[0], file + ":1:1: 'batchsize' is called 'batch-size' now");
}

TEST(Options, PositionalArgumentsComeInOrder) {
  std::string a, b;
  bool deep = false;
  Options options("qat_demo", "Compares.");
  options.positional("first", a, {.help = "one", .required = true});
  options.positional("second", b, {.help = "other", .required = true});
  options.flag("--deep", deep, {.help = "more"});
  std::ostringstream out;
  EXPECT_TRUE(options.parse({"x", "--deep", "y"}, out));
  EXPECT_EQ(a + b, "xy");
}

}  // namespace
}  // namespace stair::apps
