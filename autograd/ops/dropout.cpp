#include "autograd/ops/dropout.h"

#include <algorithm>

#include "autograd/op.h"
#include "autograd/operands.h"
#include "core/parallel.h"

namespace stair::autograd {
namespace {

constexpr int64_t kGrain = 4096;  // elements a task; whole Philox blocks and whole mask bytes

// Takes `count` numbers out of default_random(), starting at a whole block of four.
Random::State take(int64_t count) {
  Random::State first = default_random().state();
  first.position = (first.position + 3) / 4 * 4;
  Random::State next = first;
  next.position += static_cast<uint64_t>(count + 3) / 4 * 4;
  default_random() = Random(next);
  return first;
}

// Bit i is set where number i of the stream, uniform in [0, 1) with 24 bits, is at least p.
Tensor kept_elements(int64_t n, double p) {
  Tensor mask = Tensor::empty({n}, DType::b1);
  const Random::State start = take(n);
  uint8_t* bits = reinterpret_cast<uint8_t*>(mask.raw());
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t byte = begin / 8; byte < (end + 7) / 8; ++byte) {
      uint32_t keep = 0;
      for (int half = 0; half < 2; ++half) {
        const uint64_t block = start.position / 4 + static_cast<uint64_t>(2 * byte + half);
        const auto numbers = philox(start.seed, block, start.stream);
        for (int i = 0; i < 4; ++i)
          keep |= uint32_t{(numbers[static_cast<size_t>(i)] >> 8) * 0x1p-24 >= p} << (4 * half + i);
      }
      bits[byte] = static_cast<uint8_t>(keep);
    }
  });
  return mask;
}

// factor * x where kept, else 0.
Tensor masked(const Tensor& x, const Tensor& mask, double factor) {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  const uint8_t* bits = reinterpret_cast<const uint8_t*>(mask.raw());
  with_real(x.dtype(), "dropout", [&]<class T>() {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    const T f = static_cast<T>(factor);
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = bits[i / 8] >> (i % 8) & 1 ? from[i] * f : T(0);
    });
  });
  return y;
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return dropout(in[0], a.get<double>("p"), a.get<bool>("training"));
}

}  // namespace

Variable dropout(const Variable& x, double p, bool training) {
  if (!(p >= 0 && p <= 1)) throw ConfigError(str("dropout: p ", p, ", expected 0 to 1"));
  const Attributes attributes =
      tracing() ? Attributes{{"p", p}, {"training", training}} : Attributes{};
  if (!training || p == 0)
    return record(
        "dropout", {x}, x.value(), [](const Tensor& gy) { return std::vector<Tensor>{gy}; },
        attributes);
  const Tensor xv = real_operand("dropout", "x", x);
  const Tensor mask = kept_elements(xv.numel(), p);
  const double factor = p < 1 ? 1 / (1 - p) : 0;
  return record(
      "dropout", {x}, masked(xv, mask, factor),
      [mask, factor](const Tensor& gy) { return std::vector<Tensor>{masked(gy, mask, factor)}; },
      attributes);
}

const OpDef op_dropout{"dropout", apply};

}  // namespace stair::autograd
