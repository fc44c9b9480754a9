#include "qat/ptq/calibrate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/storage.h"
#include "qat/convert.h"
#include "qat/int8/session.h"
#include "qat/presets.h"
#include "tests/qat/ptq/small_model.h"

namespace stair::qat {
namespace {

TEST(CalibrateExact, EveryPresetGivesTheIntegersThatShip) {
  const nn::Graph folded = fold_batch_norm(small_model(true));
  nn::GraphModule reference(folded);
  const Tensor x = pictures(3, 3), expected = outputs_of(reference, x);
  for (const Preset& preset : presets()) {
    nn::GraphModule quantized(prepare_qat(folded.deep_copy(), preset.config).graph);
    calibrate(quantized, batches_of(1));
    const Tensor qat = outputs_of(quantized, x);
    const Tensor int8 = Int8Session(convert(quantized.graph())).run(x);
    for (int64_t i = 0; i < qat.numel(); ++i)
      ASSERT_EQ(qat.data<float>()[i], int8.data<float>()[i]) << preset.name;
    EXPECT_GT(distance(expected, qat), 0) << preset.name;
  }
}

TEST(Calibrate, RunsInFloatAndFreezesTheRanges) {
  nn::GraphModule model(prepare_qat(small_model(), find_preset("x86").config).graph);
  calibrate(model, batches_of(2));
  const Tensor x = pictures(2, 3), first = outputs_of(model, x);
  (void)outputs_of(model, pictures(8, 77));
  model.train();
  {
    const autograd::NoGrad no_grad;
    freeze_batch_norm(model, true);
    (void)model(autograd::Variable(pictures(8, 78)));
  }
  EXPECT_EQ(distance(first, outputs_of(model, x)), 0);
}

TEST(Calibrate, MemoryIsThatOfOneBatch) {
  const nn::Graph folded = fold_batch_norm(small_model());
  size_t peaks[2];
  for (int run = 0; run < 2; ++run) {
    nn::GraphModule model(prepare_qat(folded.deep_copy(), find_preset("x86").config).graph);
    const size_t before = memory_stats().live_bytes;
    reset_peak_memory();
    calibrate(model, batches_of(run == 0 ? 1 : 8));
    peaks[run] = memory_stats().peak_bytes - before;
  }
  EXPECT_LE(peaks[1], peaks[0] + peaks[0] / 50);
}

TEST(CalibrateFault, WithoutBatchesNamesTheQuantizers) {
  nn::GraphModule model(prepare_qat(small_model(), find_preset("x86").config).graph);
  try {
    calibrate(model, batches_of(0));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("features.0.0"), std::string::npos) << error.what();
  }
}

TEST(CalibrateFault, LayersThatSawNanAreNamedOnceAndKeepTheirScales) {
  nn::GraphModule model(prepare_qat(small_model(), find_preset("x86").config).graph);
  EXPECT_TRUE(calibrate(model, batches_of(1)).empty());
  const auto left_out = calibrate(model, [](const auto& f) {
    Tensor x = pictures(2, 3);
    f(x);
    x.data<float>()[5] = std::nanf("");
    f(x);
  });
  ASSERT_FALSE(left_out.empty());
  EXPECT_LT(left_out.size(), model.graph().nodes().size());
  EXPECT_TRUE(std::any_of(left_out.begin(), left_out.end(), [](const auto& entry) {
    return entry.first.starts_with("input") && entry.second == 1;
  })) << left_out.begin()->first;
  const Tensor y = outputs_of(model, pictures(1, 9));
  for (int64_t i = 0; i < y.numel(); ++i) EXPECT_TRUE(std::isfinite(y.data<float>()[i]));
}

// The estimate is the mean over batches of the statistics of a batch, and neither observers nor
// anything else moves.
TEST(ReestimateBatchNorm, IsTheMeanOfTheBatches) {
  nn::GraphModule model(small_model(false, "resnet20"));
  const std::string mean = "bn1.running_mean";
  const auto value = [&] { return model.graph().find(mean)->variable.value().clone(); };
  std::vector<Tensor> single;
  for (int64_t i = 0; i < 2; ++i) {
    nn::GraphModule one(model.graph().deep_copy());
    reestimate_batch_norm(one,
                          [&](const auto& f) { f(pictures(4, static_cast<uint64_t>(i) + 100)); });
    single.push_back(one.graph().find(mean)->variable.value().clone());
  }
  const Tensor before = value();
  reestimate_batch_norm(model, batches_of(2));
  const Tensor after = value();
  EXPECT_GT(distance(before, after), 0);
  for (int64_t i = 0; i < after.numel(); ++i)
    EXPECT_NEAR(after.data<float>()[i],
                (single[0].data<float>()[i] + single[1].data<float>()[i]) / 2, 1e-5);
}

TEST(ReestimateBatchNorm, WorksOnQuantizedNetworks) {
  nn::GraphModule model(prepare_qat(small_model(), find_preset("x86").config).graph);
  calibrate(model, batches_of(1));
  const QParams before = [&] {
    for (auto& [name, module] : model.named_modules())
      if (auto* q = dynamic_cast<Quantizer*>(module); q && !q->spec().is_weight)
        return q->qparams();
    return QParams{};
  }();
  const Tensor x = pictures(2, 3), first = outputs_of(model, x);
  reestimate_batch_norm(model, batches_of(2));
  EXPECT_FALSE(model.is_training());
  EXPECT_GT(distance(first, outputs_of(model, x)), 0);
  for (auto& [name, module] : model.named_modules())
    if (auto* q = dynamic_cast<Quantizer*>(module); q && !q->spec().is_weight) {
      EXPECT_EQ(q->qparams(), before);
      break;
    }
}

TEST(Presets, UnknownNameGetsTheNearestAndTheList) {
  try {
    (void)find_preset("x68");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(error.hint().find("x86"), std::string::npos) << error.hint();
    EXPECT_NE(error.hint().find("quark"), std::string::npos) << error.hint();
  }
}

}  // namespace
}  // namespace stair::qat
