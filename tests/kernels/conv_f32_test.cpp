#include <gtest/gtest.h>

#include "core/cpu.h"
#include "tests/kernels/conv_cases.h"
#include "tests/support/sanitizers.h"

namespace stair::kernels {
namespace {

// The first layer of a network, strided and plain layers, a linear layer, a 1x1 picture, more than
// one block of pixels.
const std::vector<ConvShape> kShapes = {
    // Narrow inputs: windows thinner than the stride, as wide as it, pictures thinner than a run.
    {.n = 1, .h = 5, .w = 16, .c = 1, .o = 9, .kw = 2, .stride_w = 3},
    {.n = 2, .h = 16, .w = 18, .c = 4, .o = 24, .kh = 4, .kw = 4, .stride_h = 4, .stride_w = 4},
    {.n = 2, .h = 6, .w = 2, .c = 3, .o = 16, .kh = 3, .kw = 3, .pad_left = 1, .pad_right = 1},
    {.n = 2,
     .h = 21,
     .w = 23,
     .c = 3,
     .o = 20,
     .kh = 7,
     .kw = 7,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 3,
     .pad_left = 3,
     .pad_bottom = 3,
     .pad_right = 3},
    {.n = 3,
     .h = 14,
     .w = 14,
     .c = 33,
     .o = 40,
     .kh = 3,
     .kw = 3,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.n = 2,
     .h = 15,
     .w = 14,
     .c = 16,
     .o = 32,
     .kh = 3,
     .kw = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.n = 3,
     .h = 28,
     .w = 20,
     .c = 66,
     .o = 70,
     .kh = 3,
     .kw = 3,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.n = 2, .h = 14, .w = 14, .c = 32, .o = 17, .stride_h = 2, .stride_w = 2},
    {.n = 17, .c = 130, .o = 100},
    {.n = 1,
     .c = 5,
     .o = 70,
     .kh = 3,
     .kw = 3,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1},
    {.n = 2,
     .h = 9,
     .w = 30,
     .c = 2,
     .o = 5,
     .kh = 5,
     .kw = 3,
     .pad_top = 4,
     .pad_left = 2,
     .pad_bottom = 0,
     .pad_right = 1},
    {.n = 2,
     .h = 12,
     .w = 12,
     .c = 8,
     .o = 24,
     .kh = 3,
     .kw = 3,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .groups = 8},
    {.n = 2,
     .h = 13,
     .w = 12,
     .c = 40,
     .o = 40,
     .kh = 3,
     .kw = 3,
     .stride_h = 2,
     .stride_w = 2,
     .pad_top = 1,
     .pad_left = 1,
     .pad_bottom = 1,
     .pad_right = 1,
     .groups = 40},
};

TEST(ConvForward, AgreesWithTheReferenceOnDenseShapes) {
  expect_agreement(run_forward, forward_oracle, ConvKind::dense, 600);
}
TEST(ConvForward, AgreesWithTheReferenceOnGroups) {
  expect_agreement(run_forward, forward_oracle, ConvKind::grouped, support::kRandomShapes);
}
TEST(ConvForward, AgreesWithTheReferenceOnDepthwiseShapes) {
  expect_agreement(run_forward, forward_oracle, ConvKind::depthwise, support::kRandomShapes);
}
TEST(ConvForward, AgreesWithTheReferenceOnTiledShapes) {
  expect_agreement(run_forward, forward_oracle, ConvKind::tiled, 200);
}
TEST(ConvForward, AgreesWithTheReferenceOnShapesOfNetworks) {
  expect_agreement(run_forward, forward_oracle, kShapes);
}
TEST(ConvForward, AgreesWithTheReferenceOnResultsLargerThanTheCaches) {
  expect_agreement(run_forward, forward_oracle, {{.h = 512, .w = 515, .c = 3, .o = 32}});
}
TEST(ConvForward, KeepsTheBoundOnLongSumsOfOneSign) {
  expect_agreement_of_long_sums(run_forward, forward_oracle);
}
TEST(ConvForwardExact, GivesTheSameBitsForAnyNumberOfThreads) {
  expect_same_bits_for_any_threads(run_forward, kShapes);
}

TEST(ConvForwardExact, AddsNothingWithoutABias) {
  for (Isa isa : available_isas()) {
    IsaScope scope(isa);
    for (const ConvShape& s : kShapes) {
      ConvCase c = conv_case(s, 3);
      c.bias = Guarded(s.o, 0.0F);
      Guarded with = run_forward(c);
      Guarded without(with.count());
      run<ConvForward<float>>({s, c.x.data(), c.w.data(), nullptr, without.data()});
      for (int64_t i = 0; i < with.count(); ++i)
        ASSERT_EQ(with.data()[i], without.data()[i]) << c.text();
    }
  }
}

TEST(ConvBackwardData, AgreesWithTheReferenceOnDenseShapes) {
  expect_agreement(run_backward_data, backward_data_oracle, ConvKind::dense, 600);
}
TEST(ConvBackwardData, AgreesWithTheReferenceOnGroups) {
  expect_agreement(run_backward_data, backward_data_oracle, ConvKind::grouped,
                   support::kRandomShapes);
}
TEST(ConvBackwardData, AgreesWithTheReferenceOnDepthwiseShapes) {
  expect_agreement(run_backward_data, backward_data_oracle, ConvKind::depthwise,
                   support::kRandomShapes);
}
TEST(ConvBackwardData, AgreesWithTheReferenceOnTiledShapes) {
  expect_agreement(run_backward_data, backward_data_oracle, ConvKind::tiled, 200);
}
TEST(ConvBackwardData, AgreesWithTheReferenceOnShapesOfNetworks) {
  expect_agreement(run_backward_data, backward_data_oracle, kShapes);
}
TEST(ConvBackwardData, AgreesWithTheReferenceOnResultsLargerThanTheCaches) {
  expect_agreement(run_backward_data, backward_data_oracle,
                   {{.h = 512, .w = 515, .c = 32, .o = 3}});
}
TEST(ConvBackwardData, KeepsTheBoundOnLongSumsOfOneSign) {
  expect_agreement_of_long_sums(run_backward_data, backward_data_oracle);
}
TEST(ConvBackwardDataExact, GivesTheSameBitsForAnyNumberOfThreads) {
  expect_same_bits_for_any_threads(run_backward_data, kShapes);
}

TEST(ConvBackwardWeights, AgreesWithTheReferenceOnDenseShapes) {
  expect_agreement(run_backward_weights, backward_weights_oracle, ConvKind::dense, 600);
}
TEST(ConvBackwardWeights, AgreesWithTheReferenceOnGroups) {
  expect_agreement(run_backward_weights, backward_weights_oracle, ConvKind::grouped,
                   support::kRandomShapes);
}
TEST(ConvBackwardWeights, AgreesWithTheReferenceOnDepthwiseShapes) {
  expect_agreement(run_backward_weights, backward_weights_oracle, ConvKind::depthwise,
                   support::kRandomShapes);
}
TEST(ConvBackwardWeights, AgreesWithTheReferenceOnTiledShapes) {
  expect_agreement(run_backward_weights, backward_weights_oracle, ConvKind::tiled, 200);
}
TEST(ConvBackwardWeights, AgreesWithTheReferenceOnShapesOfNetworks) {
  expect_agreement(run_backward_weights, backward_weights_oracle, kShapes);
}
TEST(ConvBackwardWeights, KeepsTheBoundOnLongSumsOfOneSign) {
  expect_agreement_of_long_sums(run_backward_weights, backward_weights_oracle);
}
TEST(ConvBackwardWeightsExact, GivesTheSameBitsForAnyNumberOfThreads) {
  expect_same_bits_for_any_threads(run_backward_weights, kShapes);
}

TEST(CodesBackwardWeights, AgreesWithTheReferenceOnPointwiseShapes) {
  expect_agreement(run_codes_backward_weights, codes_backward_weights_oracle, ConvKind::pointwise,
                   support::kRandomShapes);
}
TEST(CodesBackwardWeights, AgreesWithTheReferenceOnDepthwiseShapes) {
  expect_agreement(run_codes_backward_weights, codes_backward_weights_oracle, ConvKind::depthwise,
                   support::kRandomShapes);
}
TEST(CodesBackwardWeights, AgreesWithTheReferenceOnShapesOfNetworks) {
  std::vector<ConvShape> shapes = kShapes;
  shapes.insert(shapes.end(), {{.n = 3, .h = 15, .w = 17, .c = 24, .o = 144},
                               {.n = 2, .h = 14, .w = 14, .c = 384, .o = 64}});
  for (const int64_t width : {3, 5})
    for (const int64_t stride : {1, 2})
      for (const int64_t channels : {16, 40, 72}) {
        ConvShape s{.n = 2, .h = 13, .w = 12, .c = channels, .o = channels, .groups = channels};
        s.kh = s.kw = width;
        s.stride_h = s.stride_w = stride;
        s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = width / 2;
        shapes.push_back(s);
      }
  expect_agreement(run_codes_backward_weights, codes_backward_weights_oracle, shapes);
}
TEST(CodesBackwardWeightsExact, GivesTheSameBitsForAnyNumberOfThreads) {
  expect_same_bits_for_any_threads(run_codes_backward_weights,
                                   {{.n = 3, .h = 28, .w = 28, .c = 24, .o = 144}, kShapes.back()});
}

}  // namespace
}  // namespace stair::kernels
