// Layers without parameters or settings, one elementwise function each.
#pragma once

#include "nn/module.h"

namespace stair::nn {

// y = max(x, 0).
class ReLU : public Module {
 public:
  Variable forward(const Variable& x) override;
};

// y = min(max(x, 0), 6).
class ReLU6 : public Module {
 public:
  Variable forward(const Variable& x) override;
};

// y = x * relu6(x + 3) / 6.
class Hardswish : public Module {
 public:
  Variable forward(const Variable& x) override;
};

// y = relu6(x + 3) / 6.
class Hardsigmoid : public Module {
 public:
  Variable forward(const Variable& x) override;
};

// y = x.
class Identity : public Module {
 public:
  Variable forward(const Variable& x) override { return x; }
};

}  // namespace stair::nn
