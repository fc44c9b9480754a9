#include "apps/program/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "apps/program/environment.h"
#include "core/cpu.h"

namespace stair::apps {
namespace {

TEST(Report, BytesHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(46827520), "44.7 MiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16777216 TiB");
}

TEST(Report, CountsHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(human_count(950), "950");
  EXPECT_EQ(human_count(11689512), "11.7 M");
  EXPECT_EQ(human_count(1.8141e9), "1.81 G");
  EXPECT_EQ(human_count(999600), "1.00 M");
}

TEST(Report, DurationsGrowFromSecondsToDays) {
  EXPECT_EQ(human_duration(0), "0.0 s");
  EXPECT_EQ(human_duration(8.44), "8.4 s");
  EXPECT_EQ(human_duration(59.96), "1:00");
  EXPECT_EQ(human_duration(842), "14:02");
  EXPECT_EQ(human_duration(3723), "1:02:03");
  EXPECT_EQ(human_duration(3 * 86400 + 7200), "3 d 02:00:00");
  EXPECT_EQ(human_duration(INFINITY), "?");
  EXPECT_EQ(human_duration(-1), "?");
}

TEST(Report, FixedNamesWhatIsNoNumber) {
  EXPECT_EQ(fixed(1.2345, 2), "1.23");
  EXPECT_EQ(fixed(NAN, 2), "nan");
  EXPECT_EQ(fixed(-INFINITY, 2), "-inf");
  EXPECT_EQ(fixed(1e300, 1).size(), 303U);
}

TEST(Report, ANumberThatJsonLacksIsNull) {
  EXPECT_EQ(json_number(0.5).dump(), "0.5");
  EXPECT_EQ(json_number(NAN).dump(), "null");
}

TEST(Report, TheEnvironmentNamesAKernelForEveryOperation) {
  const Json report = environment();
  EXPECT_EQ(parse_json(report.dump()), report);
  EXPECT_GE(report.at("kernels").size(), 3U);
  EXPECT_GE(report.at("threads").at("used").as_int(), 1);
  IsaScope reference(Isa::ref);
  const Json plain = environment();
  EXPECT_EQ(plain.at("isa").at("active").as_string(), "ref");
  EXPECT_EQ(plain.at("kernels").size(), report.at("kernels").size());
  for (const auto& [op, kernel] : plain.at("kernels").as_object())
    EXPECT_TRUE(kernel.as_string().ends_with("_ref")) << op << " " << kernel.as_string();
}

}  // namespace
}  // namespace stair::apps
