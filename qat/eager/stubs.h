// Modules of the eager flow that a model is written with; in float they change nothing.
#pragma once

#include "nn/module.h"

namespace stair::qat {

using autograd::Variable;

// Here real numbers become integers.
class QuantStub final : public nn::Module {
 public:
  Variable forward(const Variable& x) override;
};

// Here integers become real numbers.
class DeQuantStub final : public nn::Module {
 public:
  Variable forward(const Variable& x) override;
};

// Operations of two tensors whose result has quantization parameters of its own. (A plain sum of
// two variables gets them as well.)
class FloatFunctional final : public nn::Module {
 public:
  Variable add(const Variable& a, const Variable& b);
  Variable add_relu(const Variable& a, const Variable& b);
  Variable mul(const Variable& a, const Variable& b);
  Variable cat(const std::vector<Variable>& xs, int axis);
  // Throws ConfigError: there are two operands.
  Variable forward(const Variable& x) override;
};

}  // namespace stair::qat
