#include "qat/ptq/equalize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "qat/presets.h"
#include "qat/ptq/calibrate.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

// Scales the channels between expansion and depthwise layers up and down, so
// that one scale a tensor loses most of them; the function stays.
void unbalance(nn::Graph& folded) {
  for (int id : weighted_nodes(folded)) {
    const int relu = only_reader(folded, id);
    if (relu < 0 || folded.node(relu).op != "relu") continue;
    const int next = only_reader(folded, relu);
    if (next < 0 || folded.node(next).op != "conv2d") continue;
    const WeightView first = weights_of(folded, id), second = weights_of(folded, next);
    if (second.inputs != 1 || second.groups != first.outputs) continue;
    const Tensor bias = bias_of(folded, id);
    const int64_t inner = first.taps * first.inputs;
    for (int64_t o = 0; o < first.outputs; ++o) {
      const float factor = std::exp2(static_cast<float>(o % 13) - 6);
      for (int64_t k = 0; k < inner; ++k) first.w[o * inner + k] *= factor;
      bias.data<float>()[o] *= factor;
      for (int64_t tap = 0; tap < second.taps; ++tap) second.at(o, tap, 0) /= factor;
    }
  }
}

double quantized_error(const nn::Graph& folded, const Tensor& x, const Tensor& expected) {
  nn::GraphModule quantized(prepare_qat(folded.deep_copy(), find_preset("minmax").config).graph);
  calibrate(quantized, batches_of(2));
  return distance(expected, outputs_of(quantized, x));
}

TEST(Equalize, LeavesTheFunctionOfReluNetworks) {
  nn::Graph folded = fold_batch_norm(small_model());
  nn::GraphModule before(folded.deep_copy());
  const EqualizeReport report = equalize(folded, batches_of(2));
  EXPECT_GT(report.pairs, 20);
  EXPECT_GT(report.channels, 1000);
  nn::GraphModule after(folded);
  const Tensor x = pictures(2, 3), expected = outputs_of(before, x);
  EXPECT_LT(distance(expected, outputs_of(after, x)),
            1e-3 * (1 + distance(expected, outputs_of(after, pictures(2, 4)))));
}

// Apart from a factor for all channels, which settles slowly along a chain of
// layers and matters to no one.
TEST(Equalize, ChannelsOfPairsEndWithRangesOfOneRatio) {
  nn::Graph folded = fold_batch_norm(small_model());
  unbalance(folded);
  const auto spread = [&] {
    const WeightView a = weights_of(folded, weighted_nodes(folded)[0]);
    const WeightView b = weights_of(folded, weighted_nodes(folded)[1]);
    float low = HUGE_VALF, high = 0;
    for (int64_t o = 0; o < a.outputs; ++o) {
      float r1 = 0, r2 = 0;
      for (int64_t k = 0; k < a.taps * a.inputs; ++k)
        r1 = std::max(r1, std::abs(a.w[o * a.taps * a.inputs + k]));
      for (int64_t tap = 0; tap < b.taps; ++tap) r2 = std::max(r2, std::abs(b.at(o, tap, 0)));
      low = std::min(low, r1 / r2);
      high = std::max(high, r1 / r2);
    }
    return high / low;
  };
  const float before = spread();
  (void)equalize(folded, batches_of(2));
  EXPECT_LT(spread(), before / 50);
}

// A channel that is nearly constant: tiny weights and a bias.
TEST(Equalize, NoChannelLeavesTheRangeOfItsTensor) {
  nn::Graph folded = fold_batch_norm(small_model());
  const int id = weighted_nodes(folded)[0];
  const WeightView w = weights_of(folded, id);
  for (int64_t k = 0; k < w.taps * w.inputs; ++k) w.w[k] *= 1e-6F;
  bias_of(folded, id).data<float>()[0] = 1;
  (void)equalize(folded, batches_of(2));
  EXPECT_LT(bias_of(folded, id).data<float>()[0], 50);
}

// Trained networks have such channels, and their weights are often the largest of the layer.
TEST(Equalize, ChannelsThatCarryNothingLoseTheirWeights) {
  nn::Graph folded = fold_batch_norm(small_model());
  const std::vector<int> ids = weighted_nodes(folded);
  const WeightView expand = weights_of(folded, ids[0]), depthwise = weights_of(folded, ids[1]),
                   project = weights_of(folded, ids[2]);
  const auto make_zero = [](float* w, int64_t n) { std::fill(w, w + n, 0.0F); };
  make_zero(expand.w, expand.taps * expand.inputs);  // channel 0: always below zero
  bias_of(folded, ids[0]).data<float>()[0] = -1;
  for (int64_t o = 0; o < project.outputs; ++o) project.at(o, 0, 1) = 0;  // channel 1: unread
  for (int64_t tap = 0; tap < depthwise.taps; ++tap)
    depthwise.at(0, tap, 0) = depthwise.at(1, tap, 0) = 100;
  nn::GraphModule before(folded.deep_copy());
  const Tensor x = pictures(2, 3), expected = outputs_of(before, x);
  (void)equalize(folded, batches_of(2));
  for (int64_t tap = 0; tap < depthwise.taps; ++tap) {
    EXPECT_EQ(depthwise.at(0, tap, 0), 0);
    EXPECT_EQ(depthwise.at(1, tap, 0), 0);
  }
  nn::GraphModule after(folded);
  EXPECT_LT(distance(expected, outputs_of(after, x)),
            1e-3 * (1 + distance(expected, outputs_of(after, pictures(2, 4)))));
}

TEST(Equalize, BringsPerTensorQuantizationBack) {
  nn::Graph folded = fold_batch_norm(small_model());
  unbalance(folded);
  nn::GraphModule reference(folded.deep_copy());
  const Tensor x = pictures(4, 3), expected = outputs_of(reference, x);
  const double before = quantized_error(folded, x, expected);
  (void)equalize(folded, batches_of(2));
  EXPECT_LT(quantized_error(folded, x, expected), 0.6 * before);
}

// On the batches themselves, where it is known which channels reach 6.
TEST(Equalize, LeavesTheFunctionOfRelu6Networks) {
  nn::Graph folded = fold_batch_norm(small_model(true));
  const int id = weighted_nodes(folded)[0];
  bias_of(folded, id).data<float>()[0] = 8;  // a channel that is clipped
  nn::GraphModule before(folded.deep_copy());
  const EqualizeReport report = equalize(folded, batches_of(1));
  EXPECT_GT(report.channels, 1000);
  EXPECT_EQ(bias_of(folded, id).data<float>()[0], 8);
  nn::GraphModule after(folded);
  const Tensor x = pictures(4, 100), expected = outputs_of(before, x);
  EXPECT_LT(distance(expected, outputs_of(after, x)),
            1e-3 * (1 + distance(expected, outputs_of(after, pictures(4, 4)))));
}

// With every value far above zero the ReLU is the identity, and moving biases
// changes nothing.
TEST(AbsorbHighBiases, LeavesTheFunctionWhereTheReluPassesAll) {
  nn::Graph folded = fold_batch_norm(small_model());
  nn::GraphModule before(folded.deep_copy());
  const Tensor x = pictures(4, 100), expected = outputs_of(before, x);
  const EqualizeReport report = absorb_high_biases(folded, batches_of(1));
  EXPECT_GT(report.pairs, 10);
  // Values that fall below the absorbed bias are cut: of a normal distribution
  // one in 740.
  nn::GraphModule after(folded);
  double size = 0;
  for (int64_t i = 0; i < expected.numel(); ++i)
    size = std::max<double>(size, std::abs(expected.data<float>()[i]));
  EXPECT_LT(distance(expected, outputs_of(after, x)), 0.02 * size);
}

TEST(AbsorbHighBiases, MovesAHighBias) {
  nn::Graph folded = fold_batch_norm(small_model());
  // The depthwise layer of the first block; its projection has no padding.
  const int id = weighted_nodes(folded)[1];
  bias_of(folded, id).data<float>()[0] = 50;
  nn::GraphModule before(folded.deep_copy());
  const Tensor x = pictures(4, 100), expected = outputs_of(before, x);
  const EqualizeReport report = absorb_high_biases(folded, batches_of(1));
  EXPECT_GE(report.channels, 1);
  EXPECT_LT(bias_of(folded, id).data<float>()[0], 25);
  nn::GraphModule after(folded);
  double size = 0;
  for (int64_t i = 0; i < expected.numel(); ++i)
    size = std::max<double>(size, std::abs(expected.data<float>()[i]));
  EXPECT_LT(distance(expected, outputs_of(after, x)), 0.02 * size);
}

}  // namespace
}  // namespace stair::qat
