#include "autograd/ops/max_pool2d.h"

#include "autograd/op.h"
#include "autograd/operands.h"

namespace stair::autograd {
namespace {

template <class T>
Tensor pool(const kernels::PoolShape& s, const Tensor& x, const Tensor& index) {
  Tensor y = Tensor::empty({s.n, s.oh(), s.ow(), s.c}, x.dtype());
  kernels::run<kernels::MaxPool<T>>(
      {s, x.data<T>(), y.data<T>(), index.defined() ? index.data<int32_t>() : nullptr});
  return x.quantized() ? y.with_qparams(x.qparams()) : y;
}

Tensor forward(const kernels::PoolShape& s, const Variable& x, const Tensor& index) {
  const Tensor xv = per_tensor_operand(x);
  if (xv.quantized() && xv.dtype() == DType::u8) return pool<uint8_t>(s, xv, index);
  if (xv.quantized() && xv.dtype() == DType::s8) return pool<int8_t>(s, xv, index);
  const Tensor xf = real_operand("max_pool2d", "x", x);
  return with_real(xf.dtype(), "max_pool2d", [&]<class T>() { return pool<T>(s, xf, index); });
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return max_pool2d(in[0], pool_options("max_pool2d", a));
}

}  // namespace

Variable max_pool2d(const Variable& x, const Pool2dOptions& options) {
  const kernels::PoolShape s = pool_shape("max_pool2d", x, options);
  Tensor index;
  if (wants_grad(x)) index = Tensor::empty({s.n, s.oh(), s.ow(), s.c}, DType::s32);
  Tensor y = forward(s, x, index);
  return record(
      "max_pool2d", {x}, std::move(y),
      [s, index, shape = x.shape()](const Tensor& gy) -> std::vector<Tensor> {
        Tensor gx = Tensor::empty(shape, gy.dtype());
        with_real(gy.dtype(), "max_pool2d", [&]<class T>() {
          kernels::run<kernels::MaxPoolBackward<T>>(
              {s, gy.data<T>(), index.data<int32_t>(), gx.data<T>()});
        });
        return {gx};
      },
      tracing() ? pool_attributes(options) : Attributes{});
}

const OpDef op_max_pool2d{"max_pool2d", apply};

}  // namespace stair::autograd
