#include "nn/finite.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "core/text.h"

namespace stair::nn {
namespace {

constexpr int64_t kGrain = 1 << 15;

template <class T>
int64_t first_in(const T* x, int64_t n) {
  std::vector<int64_t> found(static_cast<size_t>((n + kGrain - 1) / kGrain), n);
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    // x - x is 0 for finite numbers and NaN for all others.
    T sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += x[i] - x[i];
    if (sum == 0) return;
    const T* at = std::find_if(x + begin, x + end, [](T value) { return !std::isfinite(value); });
    found[static_cast<size_t>(begin / kGrain)] = at - x;
  });
  const int64_t first = found.empty() ? n : *std::min_element(found.begin(), found.end());
  return first == n ? -1 : first;
}

}  // namespace

int64_t first_non_finite(const Tensor& t) {
  if (t.dtype() == DType::f32) return first_in(t.data<float>(), t.numel());
  if (t.dtype() == DType::f64) return first_in(t.data<double>(), t.numel());
  return -1;
}

void require_finite(const std::string& what, std::span<const NamedTensor> tensors,
                    const std::string& hint) {
  for (const NamedTensor& entry : tensors) {
    const int64_t i = first_non_finite(entry.tensor);
    if (i < 0) continue;
    const bool is_double = entry.tensor.dtype() == DType::f64;
    const double value = is_double ? entry.tensor.data<double>()[i]
                                   : static_cast<double>(entry.tensor.data<float>()[i]);
    throw NumericsError(str(what, ": '", printable(entry.name), "' ", entry.tensor, " is ", value,
                            " at element ", i),
                        hint);
  }
}

}  // namespace stair::nn
