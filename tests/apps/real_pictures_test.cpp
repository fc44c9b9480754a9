// The figures of real networks on real pictures, as ../shared/models/README.md gives them.
#include <gtest/gtest.h>

#include "core/safetensors.h"
#include "tests/apps/child_program.h"
#include "tests/support/real_files.h"

namespace stair::apps {
namespace {

using support::real_pictures;
using support::shared_file;
using support::TemporaryFolder;

TEST(RealPicturesSlow, Resnet20ScoresCifarAsPyTorchDoes) {
  const std::string weights = shared_file("models/resnet20.safetensors");
  const std::string theirs = shared_file("models/resnet20_cifar10_test_logits.safetensors");
  const std::string pictures = real_pictures("cifar10");
  if (weights.empty() || theirs.empty() || pictures.empty())
    GTEST_SKIP() << "needs models/ in STAIR_SHARED and cifar10 in STAIR_IMAGES";
  const TemporaryFolder folder;
  const Ended ended =
      run_child("qat_eval", {weights, "--model", "resnet20", "--data-path", pictures, "--val-dir",
                             "test", "--val-resize-size", "0", "--val-crop-size", "32", "--json",
                             "--logits", folder / "logits.safetensors"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(parse_json(ended.out).at("images").as_int(), 10000);
  EXPECT_NEAR(parse_json(ended.out).at("top1").as_double(), 81.03, 0.02);
  const Tensor ours = read_safetensors(folder / "logits.safetensors").at("logits");
  const Tensor peers = read_safetensors(theirs).at("float_logits");
  ASSERT_EQ(ours.shape(), peers.shape());
  for (int64_t i = 0; i < ours.numel(); ++i)
    ASSERT_NEAR(ours.data<float>()[i], peers.data<float>()[i], 1e-3) << "logit " << i;
}

TEST(RealPicturesSlow, MobilenetV2ScoresThePhotographsAsPyTorchDoes) {
  const Photographs set = photographs();
  if (set.weights.empty()) GTEST_SKIP() << kNeedsPhotographs;
  std::vector<std::string> flags = set.flags;
  flags.push_back(set.weights);
  const Ended ended = run_child("qat_eval", flags);
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(parse_json(ended.out).at("images").as_int(), 500);
  EXPECT_NEAR(parse_json(ended.out).at("top1").as_double(), 89.2, 0.5);
}

}  // namespace
}  // namespace stair::apps
