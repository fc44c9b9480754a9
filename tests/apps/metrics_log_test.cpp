#include "apps/program/metrics_log.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/support/faulty_calls.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {
namespace {

Json record(int64_t step) {
  return Json::object().set("step", step).set("loss", 0.5);
}

std::string text_of(const std::string& path) {
  return read_file(path, 1 << 20, FileUse::data);
}

TEST(MetricsLog, ARecordIsALineAtOnce) {
  support::TemporaryFolder folder;
  const std::string path = folder.put("metrics.jsonl", "old\n");
  MetricsLog log(path, std::nullopt);
  log.write(record(1));
  EXPECT_EQ(text_of(path), "{\"step\":1,\"loss\":0.5}\n");
  EXPECT_EQ(log.take_note(), "");
}

TEST(MetricsLogFault, ResumingCutsHalfALineAndDropsLaterSteps) {
  support::TemporaryFolder folder;
  const std::string path = folder.put(
      "metrics.jsonl", "{\"step\":1}\n{\"step\":2}\nrubbish\n{\"step\":3}\n{\"step\":4}\n{\"ste");
  MetricsLog log(path, 2);
  log.write(record(3));
  EXPECT_EQ(text_of(path), "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"loss\":0.5}\n");
  EXPECT_EQ(log.take_note(), "removed 4 records beyond step 2 or damaged from '" + path + "'");
  EXPECT_EQ(log.take_note(), "");
}

TEST(MetricsLogFault, ResumingWithoutAFileStartsOne) {
  support::TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl", 7);
  log.write(record(8));
  EXPECT_EQ(text_of(folder / "metrics.jsonl"), "{\"step\":8,\"loss\":0.5}\n");
}

TEST(MetricsLogFault, AFullDiskSwitchesTheLogOffWithOneNote) {
  support::TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl", std::nullopt);
  {
    support::FaultyCalls calls({.at = 1, .error = ENOSPC, .stays = true});
    SystemCallsScope scope(calls);
    log.write(record(1));
  }
  EXPECT_NE(log.take_note().find("no more metrics are written: cannot write"), std::string::npos);
  log.write(record(2));
  EXPECT_EQ(text_of(folder / "metrics.jsonl"), "");
  EXPECT_EQ(log.take_note(), "");
}

TEST(MetricsLogFault, AFolderInItsPlaceSwitchesTheLogOff) {
  support::TemporaryFolder folder;
  MetricsLog log(folder.path(), std::nullopt);
  log.write(record(1));
  EXPECT_NE(log.take_note().find("no metrics are written: "), std::string::npos);
}

}  // namespace
}  // namespace stair::apps
