#include "autograd/unary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "autograd/operands.h"
#include "autograd/recompute.h"
#include "core/parallel.h"

namespace stair::autograd {
namespace {

// The parameters of the gradient: an open interval is the closed one between the next numbers.
template <class T>
std::pair<T, T> interval(const UnaryOp& op) {
  const T alpha = static_cast<T>(op.alpha), beta = static_cast<T>(op.beta);
  if (!op.ends_outside) return {alpha, beta};
  return {std::nextafter(alpha, std::numeric_limits<T>::infinity()),
          std::nextafter(beta, -std::numeric_limits<T>::infinity())};
}

// Codes of one byte and one scale have 256 values: y is looked up. The values are those of the
// formula in double precision, so they are the same on every instruction set; the int8 engine makes
// its tables of codes from them.
Tensor forward_codes(const UnaryOp& op, const Tensor& x) {
  const QParams& p = x.qparams();
  const bool is_signed = x.dtype() == DType::s8;
  std::array<double, 256> in, out;
  for (size_t byte = 0; byte < in.size(); ++byte) {
    const int32_t code = is_signed ? static_cast<int8_t>(byte) : static_cast<int32_t>(byte);
    in[byte] = static_cast<float>(code - p.zero_point[0]) * p.scale[0];
  }
  kernels::run<kernels::Unary<double>>({op.fn, 256, in.data(), out.data(), op.alpha, op.beta});
  std::array<float, 256> table;
  std::copy(out.begin(), out.end(), table.begin());
  Tensor y = Tensor::empty(x.shape(), DType::f32);
  const auto* codes = reinterpret_cast<const uint8_t*>(x.raw());
  parallel_for(x.numel(), 1 << 14, [&, to = y.data<float>()](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = table[codes[i]];
  });
  return y;
}

Tensor forward(const UnaryOp& op, const Variable& x) {
  if (x.quantized() && !x.value().qparams().per_channel() &&
      (x.dtype() == DType::u8 || x.dtype() == DType::s8))
    return forward_codes(op, x.value());
  const Tensor xv = real_operand(op.name, "x", x);
  Tensor y = Tensor::empty(xv.shape(), xv.dtype());
  with_real(xv.dtype(), op.name, [&]<class T>() {
    kernels::run<kernels::Unary<T>>({op.fn, xv.numel(), xv.data<T>(), y.data<T>(),
                                     static_cast<T>(op.alpha), static_cast<T>(op.beta)});
  });
  return y;
}

}  // namespace

Variable unary(const UnaryOp& op, const Variable& x, const Attributes& attributes) {
  const Tensor y = forward(op, x);
  return record(
      op.name, {x}, y,
      [op, kept = op.gradient_from_y ? Kept(Variable(y))
                                     : Kept(x)](const Tensor& gy) -> std::vector<Tensor> {
        const Tensor at = dequantize(kept.get());
        Tensor gx = Tensor::empty(at.shape(), at.dtype());
        with_real(at.dtype(), op.name, [&]<class T>() {
          const auto [alpha, beta] = interval<T>(op);
          kernels::run<kernels::UnaryBackward<T>>(
              {op.fn, at.numel(), at.data<T>(), gy.data<T>(), gx.data<T>(), alpha, beta});
        });
        return {gx};
      },
      attributes);
}

}  // namespace stair::autograd
