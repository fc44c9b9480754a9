#include "apps/train/nonfinite.h"

#include <algorithm>

#include "nn/finite.h"

namespace stair::apps {

std::string first_nonfinite(nn::GraphModule& model, const Tensor& pictures) {
  std::string found;
  {
    const autograd::NoGrad no_grad;
    model.set_observer([&](const nn::Node& node, const autograd::Variable& value) {
      if (found.empty() && nn::first_non_finite(value.value()) >= 0) found = node.name;
    });
    (void)model(autograd::Variable(pictures));
    model.set_observer({});
  }
  if (!found.empty()) return found;
  std::vector<nn::NamedVariable> parameters = model.named_parameters();
  for (const nn::NamedVariable& p : parameters)
    if (nn::first_non_finite(p.variable.value()) >= 0) return str("parameter '", p.name, "'");
  std::reverse(parameters.begin(), parameters.end());
  for (const nn::NamedVariable& p : parameters)
    if (p.variable.grad().defined() && nn::first_non_finite(p.variable.grad()) >= 0)
      return str("gradient of '", p.name, "'");
  return "the loss";
}

}  // namespace stair::apps
