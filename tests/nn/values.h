// Values and comparisons that the tests of nn share.
#pragma once

#include <cstring>
#include <string>

#include "autograd/variable.h"

namespace stair::nn {

// Uniform in [-1, 1), a stream of its own for each seed.
inline autograd::Variable random_variable(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random random(seed, 77);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.uniform(-1, 1);
  return autograd::Variable(t);
}

// Whether shape, type and every bit are equal.
inline bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// The message of the error of type E that f throws; a remark when it throws none.
template <class E, class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace stair::nn
