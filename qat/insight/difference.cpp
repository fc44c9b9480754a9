#include "qat/insight/difference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/dequantize.h"

namespace stair::qat {
namespace {

int32_t code(const Tensor& t, int64_t i) {
  return t.dtype() == DType::s8 ? t.data<int8_t>()[i] : t.data<uint8_t>()[i];
}

template <class T>
void count_ends(const Tensor& codes, const QParams& p, Saturation& s) {
  const bool counts_low = p.qmin != p.zero_point[0], counts_high = p.qmax != p.zero_point[0];
  int64_t low = 0, high = 0;
  for (int64_t i = 0; i < codes.numel(); ++i) {
    low += codes.data<T>()[i] == p.qmin;
    high += codes.data<T>()[i] == p.qmax;
  }
  s.low += counts_low ? static_cast<double>(low) : 0;
  s.high += counts_high ? static_cast<double>(high) : 0;
}

}  // namespace

void Saturation::add(const Tensor& t) {
  if (t.dtype() == DType::s8)
    count_ends<int8_t>(t, t.qparams(), *this);
  else
    count_ends<uint8_t>(t, t.qparams(), *this);
  codes += static_cast<double>(t.numel());
}

void Difference::add(const Tensor& a, const Tensor& b) {
  if (a.numel() != b.numel()) throw ShapeError(str("compare: one value is ", a, ", the other ", b));
  const Tensor real_a = autograd::dequantize(a), real_b = autograd::dequantize(b);
  const float *x = real_a.data<float>(), *y = real_b.data<float>();
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double p = x[i], q = y[i], d = q - p;
    squares_a_ += p * p;
    squares_b_ += q * q;
    products_ += p * q;
    noise_ += d * d;
    largest_ = std::max(largest_, std::abs(d));
  }
  if (a.quantized()) saturation_a_.add(a);
  if (b.quantized()) saturation_b_.add(b);
  integers_ = integers_ && a.quantized() && b.quantized();
  if (integers_) add_codes(a, b);
  elements_ += a.numel();
  rows_ += a.shape().rank() > 0 ? a.size(0) : 1;
}

void Difference::add_codes(const Tensor& a, const Tensor& b) {
  same_steps_ = same_steps_ && a.qparams().scale == b.qparams().scale &&
                a.qparams().zero_point == b.qparams().zero_point;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const int32_t p = code(a, i), q = code(b, i);
    if (p == q) continue;
    ++different_;
    if (first_) continue;
    Codes found{{}, p, q};
    int64_t rest = i;
    for (int d = a.shape().rank() - 1; d >= 0; --d) {
      found.index.insert(found.index.begin(), rest % a.size(d));
      rest /= a.size(d);
    }
    if (!found.index.empty()) found.index[0] += rows_;
    first_ = std::move(found);
  }
}

double Difference::sqnr() const {
  if (noise_ == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(squares_a_ / noise_);
}

double Difference::cosine() const {
  if (squares_a_ == 0 && squares_b_ == 0) return 1;
  const double norm = std::sqrt(squares_a_ * squares_b_);
  return norm > 0 ? products_ / norm : 0;
}

}  // namespace stair::qat
