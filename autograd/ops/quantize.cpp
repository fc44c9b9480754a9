#include "autograd/ops/quantize.h"

#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/quantize_forward.h"

namespace stair::autograd {
namespace {

Attributes attributes(const QParams& qparams, DType dtype, bool relu) {
  Attributes a = qparams_attributes(qparams);
  a.set("dtype", std::string(name(dtype)));
  a.set("relu", relu);
  return a;
}

DType type_of(const std::string& text) {
  for (DType dtype : {DType::u8, DType::s8, DType::s32})
    if (text == name(dtype)) return dtype;
  throw ConfigError(str("quantize: attribute 'dtype' is '", text, "', expected u8, s8 or s32"));
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return quantize(in[0], qparams_of(a), type_of(a.get<std::string>("dtype")), a.get<bool>("relu"));
}

}  // namespace

Variable quantize(const Variable& x, const QParams& qparams, DType dtype, bool relu) {
  if (x.quantized())
    throw DTypeError(str("quantize: x is quantized already; got x ", x.value()),
                     "dequantize it first");
  Quantized result =
      quantize_forward("quantize", x.deferred(), qparams, dtype, relu, wants_grad(x));
  return record(
      "quantize", {x}, std::move(result.q),
      [inside = result.inside, x_dtype = x.dtype()](const Tensor& gy) {
        return std::vector<Tensor>{apply_mask(inside, gy, x_dtype)};
      },
      tracing() ? attributes(qparams, dtype, relu) : Attributes{});
}

const OpDef op_quantize{"quantize", apply};

}  // namespace stair::autograd
