#include "nn/init.h"

#include <cmath>

#include "core/parallel.h"

namespace stair::nn {
namespace {

constexpr int64_t kGrain = 1 << 14;

// t[i] = draw(stream), each call of which takes `bits_each` numbers of the stream. Chunks start
// their own copy of the stream at the right place.
template <class Draw>
void fill(const Tensor& t, Random& random, uint64_t bits_each, const Draw& draw) {
  const Random::State start = random.state();
  const auto at = [&](int64_t i) {
    return Random(
        {start.seed, start.stream, start.position + bits_each * static_cast<uint64_t>(i)});
  };
  const auto write = [&](auto* to) {
    parallel_for(t.numel(), kGrain, [&](int64_t begin, int64_t end) {
      Random stream = at(begin);
      for (int64_t i = begin; i < end; ++i) to[i] = draw(stream);
    });
  };
  if (t.dtype() == DType::f64)
    write(t.data<double>());
  else
    write(t.data<float>());
  random = at(t.numel());
}

}  // namespace

int64_t fan_of(const Shape& weight, Fan fan) {
  if (weight.rank() != 2 && weight.rank() != 4)
    throw ShapeError(str("fan_of: weight ", weight, " is neither [O,I] nor [O,KH,KW,I]"));
  const int64_t window = weight.rank() == 4 ? weight[1] * weight[2] : 1;
  return window * (fan == Fan::in ? weight[-1] : weight[0]);
}

void constant(const Tensor& t, double value) {
  Random unused(0);
  fill(t, unused, 0, [&](Random&) { return static_cast<float>(value); });
}

void normal(const Tensor& t, double deviation, Random& random) {
  const float d = static_cast<float>(deviation);
  fill(t, random, 2, [d](Random& r) { return d * r.normal(); });
}

void uniform(const Tensor& t, double bound, Random& random) {
  const float b = static_cast<float>(bound);
  fill(t, random, 1, [b](Random& r) { return r.uniform(-b, b); });
}

void kaiming_normal(const Tensor& weight, Fan fan, double gain, Random& random) {
  normal(weight, gain / std::sqrt(static_cast<double>(fan_of(weight.shape(), fan))), random);
}

void kaiming_uniform(const Tensor& weight, Fan fan, double gain, Random& random) {
  uniform(weight, gain * std::sqrt(3.0 / static_cast<double>(fan_of(weight.shape(), fan))), random);
}

}  // namespace stair::nn
