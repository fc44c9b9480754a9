#include "autograd/ops/fake_quantize.h"

#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/quantize_forward.h"

namespace stair::autograd {
namespace {

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return fake_quantize(in[0], qparams_of(a));
}

}  // namespace

Variable fake_quantize(const Variable& x, const QParams& qparams) {
  const Tensor xv = real_operand("fake_quantize", "x", x);
  const Quantized codes =
      quantize_forward("fake_quantize", xv, qparams, code_type(qparams), false, wants_grad(x));
  Tensor y = Tensor::empty(xv.shape(), xv.dtype());
  with_real(xv.dtype(), "fake_quantize", [&]<class T>() {
    kernels::run<kernels::Dequantize<T>>({channel_layout(xv.shape(), qparams.axis), codes.q.dtype(),
                                          codes.q.raw(), qparams.scale.data(),
                                          qparams.zero_point.data(), y.data<T>()});
  });
  return record(
      "fake_quantize", {x}, std::move(y),
      [inside = codes.inside](const Tensor& gy) {
        return std::vector<Tensor>{apply_mask(inside, gy, gy.dtype())};
      },
      tracing() ? qparams_attributes(qparams) : Attributes{});
}

const OpDef op_fake_quantize{"fake_quantize", apply};

}  // namespace stair::autograd
