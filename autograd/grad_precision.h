// How precisely convolutions and linear layers of integers multiply their gradients.
#pragma once

#include <string>
#include <vector>

namespace stair::autograd {

// f32; or each gradient as the sum of two bf16 numbers, or as one, which are multiplied exactly and
// summed in f32 (kernels/conv_bf16). Weights, optimizer and all other gradients stay f32, and so do
// depthwise convolutions, which memory bounds.
enum class GradPrecision { f32, bf16x2, bf16 };

const char* name(GradPrecision precision);
std::vector<std::string> grad_precision_names();
// Throws ConfigError for a name that is none of those.
GradPrecision grad_precision_named(const std::string& text);

// What pays on this machine: bf16x2 where AMX is active, else f32.
GradPrecision default_grad_precision();

// Of the whole process; f32 until it is set.
GradPrecision grad_precision();
void set_grad_precision(GradPrecision precision);

}  // namespace stair::autograd
