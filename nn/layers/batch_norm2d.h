// The batch normalization layer.
#pragma once

#include "autograd/ops/batch_norm.h"
#include "nn/module.h"

namespace stair::nn {

// x [N,H,W,channels] -> the same shape; see autograd::batch_norm. Parameters: weight (gamma, starts
// at 1), bias (beta, 0). Buffers: running_mean (0), running_var (1), num_batches_tracked (s64,
// scalar: the training batches seen).
class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(int64_t channels, double momentum = 0.1, double eps = 1e-5);
  Variable forward(const Variable& x) override;

  // Frozen statistics are neither updated nor replaced by those of the batch, in training mode as
  // well.
  void freeze(bool on = true) { frozen_ = on; }
  bool frozen() const { return frozen_; }
  int64_t channels() const { return mean_.size(0); }
  double momentum() const { return momentum_; }
  double eps() const { return eps_; }

 private:
  double momentum_, eps_;
  bool frozen_ = false;
  Variable gamma_, beta_, mean_, var_, batches_;
};

}  // namespace stair::nn
