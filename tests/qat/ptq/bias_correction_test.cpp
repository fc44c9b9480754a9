#include "qat/ptq/bias_correction.h"

#include <gtest/gtest.h>

#include <cmath>

#include "qat/ptq/calibrate.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

TEST(BiasCorrection, BringsTheMeansToThoseOfTheFloatNetwork) {
  const nn::Graph folded = fold_batch_norm(small_model());
  nn::GraphModule reference(folded),
      quantized(prepare_qat(folded.deep_copy(), four_bits("minmax")).graph);
  calibrate(quantized, batches_of(1));
  const Tensor x = pictures(4, 100);
  const auto wanted = channel_means(outputs_of(reference, x));
  const auto before = channel_means(outputs_of(quantized, x));
  EXPECT_EQ(correct_biases(quantized, reference, batches_of(1)),
            static_cast<int>(weighted_nodes(folded).size()));
  const auto after = channel_means(outputs_of(quantized, x));
  double off_before = 0, off_after = 0;
  for (size_t c = 0; c < wanted.size(); ++c) {
    off_before += std::abs(before[c] - wanted[c]);
    off_after += std::abs(after[c] - wanted[c]);
  }
  EXPECT_GT(off_before, 0.01);
  EXPECT_LT(off_after, 0.3 * off_before);  // what the whole steps of biases leave
}

TEST(BiasCorrection, TheReferenceStaysAsItIs) {
  const nn::Graph folded = fold_batch_norm(small_model());
  nn::GraphModule reference(folded),
      quantized(prepare_qat(folded.deep_copy(), four_bits("minmax")).graph);
  const Tensor x = pictures(2, 3), before = outputs_of(reference, x);
  calibrate(quantized, batches_of(1));
  (void)correct_biases(quantized, reference, batches_of(2));
  EXPECT_EQ(distance(before, outputs_of(reference, x)), 0);
}

}  // namespace
}  // namespace stair::qat
