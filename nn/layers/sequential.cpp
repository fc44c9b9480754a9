#include "nn/layers/sequential.h"

namespace stair::nn {

Sequential::Sequential(std::vector<std::shared_ptr<Module>> modules) {
  for (std::shared_ptr<Module>& module : modules) append(std::move(module));
}

void Sequential::append(std::shared_ptr<Module> module) {
  register_module(str(children().size()), std::move(module));
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const auto& [name, child] : children()) y = (*child)(y);
  return y;
}

}  // namespace stair::nn
