// Quantizers read pixels and formulas in pieces, with the result of the whole.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "core/pixels.h"
#include "core/random.h"
#include "qat/quantizer.h"

namespace stair::qat {
namespace {

using autograd::Deferred;

Pixels random_pixels(uint64_t seed) {
  const std::array<float, 3> mean = {0.485F, 0.456F, 0.406F}, std = {0.229F, 0.224F, 0.225F};
  Pixels p{Tensor::empty({2, 31, 17, 3}, DType::u8), values_of_bytes(mean, std)};
  Random random(seed, 0);
  for (int64_t i = 0; i < p.bytes.numel(); ++i)
    p.bytes.data<uint8_t>()[i] = static_cast<uint8_t>(20 + random.below(200));
  return p;
}

Deferred formula(const Tensor& t) {
  return Deferred(t.shape(), [t](int64_t begin, int64_t end, float* into) {
    std::copy(t.data<float>() + begin * t.size(-1), t.data<float>() + end * t.size(-1), into);
  });
}

// Everything that two training batches and one in evaluation leave behind.
struct Trace {
  std::vector<Tensor> values;
  int64_t non_finite = 0;
  bool pieces = true;  // inputs behind the first batch were not asked for the whole
};

Trace run(const QuantizationSpec& spec, Activation activation,
          const std::function<Deferred(uint64_t)>& batch) {
  autograd::default_random() = Random(7, 0);
  const auto quantizer = make_quantizer(spec, 1, activation);
  Trace trace;
  for (uint64_t i = 0; i < 3; ++i) {
    quantizer->train(i < 2);
    const Variable x(batch(i));
    trace.values.push_back((*quantizer)(x).value());
    trace.pieces = trace.pieces && (i == 0 || x.deferred().in_pieces());
  }
  for (const nn::NamedVariable& v : quantizer->named_state())
    trace.values.push_back(v.variable.value());
  trace.non_finite = quantizer->non_finite_seen();
  return trace;
}

void expect_same(const Trace& a, const Trace& b) {
  ASSERT_EQ(a.values.size(), b.values.size());
  for (size_t i = 0; i < a.values.size(); ++i) {
    ASSERT_EQ(a.values[i].shape(), b.values[i].shape()) << i;
    EXPECT_EQ(std::memcmp(a.values[i].raw(), b.values[i].raw(), b.values[i].bytes()), 0) << i;
    ASSERT_EQ(a.values[i].quantized(), b.values[i].quantized()) << i;
    if (a.values[i].quantized()) {
      EXPECT_EQ(a.values[i].qparams(), b.values[i].qparams()) << i;
    }
  }
  EXPECT_EQ(a.non_finite, b.non_finite);
}

Tensor strange(uint64_t seed) {
  const Tensor t = random_pixels(seed).reals();
  Random random(seed, 1);
  for (const float value : {NAN, INFINITY, -INFINITY})
    t.data<float>()[random.below(static_cast<uint64_t>(t.numel()))] = value;
  return t;
}

void expect_pieces_as_the_whole(const QuantizationSpec& spec, bool in_pieces) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
    SCOPED_TRACE(testing::Message()
                 << spec.quantizer << ' ' << spec.observer << ' ' << static_cast<int>(activation));
    const Trace pixels =
        run(spec, activation, [](uint64_t i) { return Deferred(random_pixels(i)); });
    expect_same(pixels, run(spec, activation, [](uint64_t i) { return random_pixels(i).reals(); }));
    const Trace sums = run(spec, activation, [](uint64_t i) { return formula(strange(i)); });
    expect_same(sums, run(spec, activation, [](uint64_t i) { return strange(i); }));
    if (!in_pieces || activation == Activation::relu6) continue;
    EXPECT_TRUE(pixels.pieces);
    EXPECT_TRUE(sums.pieces);
  }
}

TEST(QuantizerPieces, GiveTheCodesAndTheStateOfTheWholeForEveryQuantizer) {
  for (const QuantizerDef* def : quantizers()) {
    QuantizationSpec spec = activation_spec();
    spec.quantizer = def->name;
    const bool simulated = !make_quantizer(spec, 1)->simulated().empty();
    expect_pieces_as_the_whole(
        spec, !simulated && spec.quantizer != "quantnoise" && spec.quantizer != "stochastic");
  }
}

TEST(QuantizerPieces, GiveTheCodesAndTheStateOfTheWholeForEveryObserver) {
  for (const ObserverDef* def : observers()) {
    if (!def->calibrates) continue;
    QuantizationSpec spec = activation_spec();
    spec.observer = def->name;
    expect_pieces_as_the_whole(spec, !make_observer(spec, 1)->needs_values());
  }
}

}  // namespace
}  // namespace stair::qat
