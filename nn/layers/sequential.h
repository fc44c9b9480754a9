// Modules one after the other.
#pragma once

#include "nn/module.h"

namespace stair::nn {

// y = last(...(first(x))). The children are called "0", "1", ....
class Sequential : public Module {
 public:
  Sequential() = default;
  explicit Sequential(std::vector<std::shared_ptr<Module>> modules);
  void append(std::shared_ptr<Module> module);
  Variable forward(const Variable& x) override;
};

}  // namespace stair::nn
