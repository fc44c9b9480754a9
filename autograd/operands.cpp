#include "autograd/operands.h"

namespace stair::autograd {

Tensor real_operand(const char* op, const char* name, const Variable& x) {
  const DType dtype = real_dtype(x);
  if (dtype != DType::f32 && dtype != DType::f64)
    throw DTypeError(str(op, ": ", name, " is ", x.value(), ", expected f32 or f64"),
                     "integers take part once they are quantized tensors");
  return dequantize(x.value());
}

Tensor per_tensor_operand(const Variable& x) {
  return x.quantized() && x.value().qparams().per_channel() ? dequantize(x.value()) : x.value();
}

}  // namespace stair::autograd
