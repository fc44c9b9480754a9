#include "nn/distill.h"

#include "autograd/ops/log_softmax.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/softmax.h"
#include "autograd/ops/sum.h"

namespace stair::nn {

using autograd::Variable;

Variable distillation_loss(const Variable& logits, const Tensor& teacher, double temperature) {
  if (logits.shape() != teacher.shape() || logits.shape().rank() != 2)
    throw ShapeError(str("distillation_loss: logits ", logits.shape(), " and teacher ",
                         teacher.shape(), ", expected two equal shapes [N,C]"));
  if (!(temperature > 0))
    throw ConfigError(str("distillation_loss: temperature ", temperature, ", expected above 0"));
  const auto scalar = [](double v) {
    return Variable(Tensor::full<float>({1}, static_cast<float>(v)));
  };
  const Variable soft = autograd::log_softmax(autograd::mul(logits, scalar(1 / temperature)));
  Variable target;
  {
    const autograd::NoGrad no_grad;
    target = autograd::softmax(autograd::mul(Variable(teacher), scalar(1 / temperature)));
  }
  const double samples = static_cast<double>(std::max<int64_t>(logits.size(0), 1));
  return autograd::mul(autograd::sum(autograd::mul(soft, target)),
                       scalar(-temperature * temperature / samples));
}

}  // namespace stair::nn
