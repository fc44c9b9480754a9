// The optimizer of a golden training run.
#pragma once

#include <string>
#include <vector>

#include "autograd/optimizer_step.h"
#include "autograd/variable.h"

namespace stair::qat {

class GoldenDescent {
 public:
  // "SGD lr <number> momentum <number>". Throws FormatError for another text.
  explicit GoldenDescent(const std::string& text);
  // Moves the same parameters each time and drops their gradients.
  void step(std::vector<autograd::Variable> parameters);

 private:
  autograd::SgdOptions options_;
  std::vector<Tensor> velocity_;
};

}  // namespace stair::qat
