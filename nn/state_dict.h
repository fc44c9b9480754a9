// The values of a model under torch's names and in torch's layout.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "nn/module.h"

namespace stair::nn {

// t [A,B,C,D] -> [A,D,B,C] (OHWI to OIHW) and back; other ranks as they are. QParams of axis 0 or
// none are kept.
Tensor to_torch_layout(const Tensor& t);
Tensor from_torch_layout(const Tensor& t);

// Copies of all parameters and buffers, in torch's order, those of 4 dimensions as OIHW.
std::vector<NamedTensor> state_dict(const Module& module);

struct LoadOptions {
  // The last linear layer keeps the model's own values where it is missing or of another shape.
  bool reset_head = false;
  // load_weights only: takes NaN and infinity as they are.
  bool allow_nonfinite = false;
  // Names the weights in messages; load_weights puts the path there.
  std::string source = "state dict";
  // Gets a line about what was taken off the names.
  std::vector<std::string>* notes = nullptr;
};

// Copies the values into the module's memory. The prefixes "module.", "_orig_mod." and "ema.",
// which torch's wrappers put before every name, are taken off; names with and without one together
// are an error. Every name must be there, no other, with the same shape and type;
// num_batches_tracked alone may be missing and then stays. Throws FormatError, changing nothing,
// with the names that are missing, unexpected and mismatched, ten of each.
void load_state_dict(Module& module, std::span<const NamedTensor> tensors,
                     const LoadOptions& options = {});

}  // namespace stair::nn
