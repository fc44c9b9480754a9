#include "tests/support/random_codes.h"

#include "core/random.h"

namespace stair::test {

Tensor random_codes(const Shape& shape, DType dtype, const QParams& qparams, uint64_t seed) {
  Tensor t = Tensor::empty(shape, dtype);
  Random random(seed);
  const int64_t range = int64_t{qparams.qmax} - qparams.qmin + 1;
  for (int64_t i = 0; i < t.numel(); ++i) {
    const auto code =
        static_cast<int64_t>(random.below(static_cast<uint64_t>(range))) + qparams.qmin;
    if (dtype == DType::u8)
      t.data<uint8_t>()[i] = static_cast<uint8_t>(code);
    else if (dtype == DType::s8)
      t.data<int8_t>()[i] = static_cast<int8_t>(code);
    else
      t.data<int32_t>()[i] = static_cast<int32_t>(code);
  }
  return t.with_qparams(qparams);
}

QParams per_tensor(float scale, int32_t zero_point, int32_t qmin, int32_t qmax) {
  return {{scale}, {zero_point}, -1, qmin, qmax};
}

QParams symmetric_channels(int64_t channels, int axis) {
  QParams p{{}, std::vector<int32_t>(static_cast<size_t>(channels), 0), axis, -128, 127};
  for (int64_t c = 0; c < channels; ++c) p.scale.push_back(0.01F * static_cast<float>(c + 1));
  return p;
}

}  // namespace stair::test
