// Convolution or linear layer of a quantized network, with the batch norm that follows it.
#pragma once

#include "autograd/ops/conv2d.h"
#include "qat/quantizer.h"

namespace stair::qat {

struct QatConvOptions {
  bool linear = false;
  int64_t group_size = 0;        // of a linear layer: inputs of a scale, 0: all of an output
  autograd::Conv2dOptions conv;  // of a convolution
  bool batch_norm = false;
  double momentum = 0.1;
  double eps = 1e-5;
  // What ships has biases of whole steps of the accumulator, x scale * weight scale, so that
  // engines whose bias is an int32 compute the same (numerics.md, int32 bias); their gradient
  // passes straight through. A bias of more than 2^30 steps stays as it is, and that of a layer
  // with groups, whose accumulators have several steps.
  bool integer_bias = false;
  // Instead, biases of s8 codes, symmetric, one scale that follows the largest; gradient straight
  // through.
  bool int8_bias = false;
};

// Inputs of forward_many: x, weight, bias (or undefined); with batch norm also gamma, beta,
// running_mean, running_var,
// num_batches_tracked (or undefined). The variables are those of the original model, so their names
// in checkpoints stay. With f = gamma / sqrt(running_var + eps) per output channel:
//
//   training, statistics free: w_q = quantize(w * f); y = BN(conv(x, w_q) / f + bias), BN with the
//   statistics of the batch
//                              (one pass, as torch.ao's fused modules). Channels with |f| < 1e-6
//                              use f = 1 instead, so that gamma = 0 neither divides by zero nor
//                              hides the channel from its gradient.
//   frozen, or evaluation:     y = conv(x, quantize(w * f)) + (beta - running_mean * f + bias * f),
//   the form that ships: the
//                              integers are those of the converted model.
//   without batch norm:        y = conv(x, quantize(w)) + bias
// The gradient reaches gamma twice, through f and through the normalization. Source:
// Krishnamoorthi, arXiv:1806.08342, 3.2.2; torch conv_fused.py, _forward_approximate. State:
// weight_quantizer.*, bn_frozen u8 [1].
class QatConv final : public nn::Module {
 public:
  QatConv(const QatConvOptions& options, std::shared_ptr<Quantizer> weight_quantizer);

  Variable forward(const Variable& x) override;
  Variable forward_many(std::span<const Variable> inputs) override;
  // With the statistics of the batch, `next` quantizes in the pass that normalizes.
  Variable forward_into(std::span<const Variable> inputs, nn::Module& next) override;
  std::shared_ptr<nn::Module> clone() const override;

  // The integers of a weight; with groups [O*I/g, g], a row a scale.
  Variable quantized(const Variable& weight) const;

  // What ships: integer weights with QParams, and the bias (undefined if there is none), real when
  // the input is (x_scale 0).
  struct Folded {
    Variable weight, bias;
    float bias_scale = 0;  // of int8 biases, float a step; 0: the bias has no scale of its own
  };
  Folded folded(std::span<const Variable> inputs, float x_scale = 0) const;

  const QatConvOptions& options() const { return options_; }
  Quantizer& weight_quantizer() const { return *weight_quantizer_; }
  bool bn_frozen() const { return bn_frozen_.value().data<uint8_t>()[0] != 0; }
  void freeze_bn(bool on) { bn_frozen_.value().data<uint8_t>()[0] = on ? 1 : 0; }

 private:
  bool uses_batch_statistics() const {
    return options_.batch_norm && is_training() && !bn_frozen();
  }
  Folded folded_real_bias(std::span<const Variable> inputs) const;
  // forward_many, its result passed to `next` when there is one and the batch norm is on its own.
  Variable run(std::span<const Variable> inputs, Quantizer* next) const;
  Variable convolve(const Variable& x, const Variable& w, const Variable& bias, bool moments) const;

  QatConvOptions options_;
  std::shared_ptr<Quantizer> weight_quantizer_;
  Variable bn_frozen_;
};

}  // namespace stair::qat
