#include "tests/qat/golden_descent.h"

#include <cstdio>

namespace stair::qat {

GoldenDescent::GoldenDescent(const std::string& text) {
  if (std::sscanf(text.c_str(), "SGD lr %lf momentum %lf", &options_.lr, &options_.momentum) != 2)
    throw FormatError(str("golden: optimizer '", text, "', expected SGD lr <n> momentum <n>"));
}

void GoldenDescent::step(std::vector<autograd::Variable> parameters) {
  const bool first = velocity_.empty();
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (first) velocity_.push_back(Tensor::zeros(parameters[i].shape(), DType::f32));
    autograd::sgd_step(parameters[i].value(), parameters[i].grad(), velocity_[i], first, options_);
    parameters[i].zero_grad();
  }
}

}  // namespace stair::qat
