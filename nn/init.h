// First values of parameters.
//
// Each function draws one number an element, in memory order, so values depend on the stream alone
// and not on threads.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace stair::nn {

enum class Fan { in, out };

// Elements that one output (fan in) or one input (fan out) is connected to: of w [O,KH,KW,I]
// KH*KW*I and KH*KW*O, of w [O,I] I and O. As torch, the fan out of a grouped convolution counts
// all O. Throws ShapeError for other ranks.
int64_t fan_of(const Shape& weight, Fan fan);

// The gain of ReLU in the formulas below.
inline constexpr double kReluGain = 1.4142135623730951;

void constant(const Tensor& t, double value);
// Mean 0.
void normal(const Tensor& t, double deviation, Random& random);
// In [-bound, bound).
void uniform(const Tensor& t, double bound, Random& random);
// Normal with deviation gain / sqrt(fan). Source: He et al., "Delving Deep into Rectifiers" (2015),
// eq. 10 and 14.
void kaiming_normal(const Tensor& weight, Fan fan, double gain, Random& random);
// Uniform within gain * sqrt(3 / fan).
void kaiming_uniform(const Tensor& weight, Fan fan, double gain, Random& random);

}  // namespace stair::nn
