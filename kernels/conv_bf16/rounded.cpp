#include "kernels/conv_bf16/rounded.h"

#include "core/parallel.h"
#include "core/storage.h"

namespace stair::kernels {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements

Scratch floats(int64_t count) {
  return Scratch(sizeof(float) * static_cast<size_t>(count));
}

}  // namespace

void rounded_backward_data(const ConvBf16BackwardData::Args& a, const RoundedPasses& passes) {
  const ConvShape& s = a.s;
  const int64_t weights = s.o * s.k(), rows = s.rows();
  const Scratch gy = floats(rows * s.o), w = floats(weights);
  parallel_for(rows, kGrain / s.o + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      passes.round(a.gy + row * s.o, a.w_scale, s.o, a.terms, gy.as<float>() + row * s.o);
  });
  parallel_for(weights, kGrain, [&](int64_t begin, int64_t end) {
    passes.widen_s8(a.w + begin, 0, end - begin, w.as<float>() + begin);
  });
  run<ConvBackwardData<float>>({s, gy.as<float>(), w.as<float>(), a.gx});
}

void rounded_backward_weights(const ConvBf16BackwardWeights::Args& a, const RoundedPasses& passes) {
  const ConvShape& s = a.s;
  const int64_t inputs = s.n * s.h * s.w * s.c, gradients = s.rows() * s.o, weights = s.o * s.k();
  const Scratch x = floats(inputs), gy = floats(gradients);
  parallel_for(gradients, kGrain, [&](int64_t begin, int64_t end) {
    passes.round(a.gy + begin, nullptr, end - begin, a.terms, gy.as<float>() + begin);
  });
  parallel_for(inputs, kGrain, [&](int64_t begin, int64_t end) {
    float* to = x.as<float>() + begin;
    if (a.x_signed)
      passes.widen_s8(static_cast<const int8_t*>(a.x) + begin, a.x_zero_point, end - begin, to);
    else
      passes.widen_u8(static_cast<const uint8_t*>(a.x) + begin, a.x_zero_point, end - begin, to);
  });
  run<ConvBackwardWeights<float>>({s, x.as<float>(), gy.as<float>(), a.gw});
  parallel_for(weights, kGrain, [&](int64_t begin, int64_t end) {
    passes.scale(a.gw + begin, a.x_scale, end - begin);
  });
}

}  // namespace stair::kernels
