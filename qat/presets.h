// Named configurations of the backends that others deploy to.
#pragma once

#include "qat/prepare.h"

namespace stair::qat {

// For post-training quantization: ranges of activations from histograms or extremes, as the
// backend's tools choose them.
//   x86, onednn, fbgemm  u8 affine activations, histogram; s8 symmetric weights per channel
//   x86-bf16             as x86, and what stays real is rounded to bf16
//   qnnpack              the same with weights per tensor
//   xnnpack              s8 affine activations, histogram; s8 weights in [-127, 127] per tensor
//   tensorrt             s8 symmetric activations, entropy; s8 weights in [-127, 127] per channel
//   quark                s8 symmetric, per tensor, extremes, activations, weights and biases
//   tqt                  power-of-two scales per tensor, 3sd of weights, kl_j of activations
//   x86-dynamic          linear layers alone: s8 weights per channel, u8 affine activations with
//   the
//                        range of each batch; everything else stays float
//   weight-only          s8 weights per channel, activations and sums in real numbers
//   minmax               u8 affine activations and s8 weights per tensor, extremes
// Activations use all 8 bits everywhere: no kernel of ours saturates.
struct Preset {
  const char* name;
  const char* meaning;
  QuantizationConfig config;
  bool mixed_bf16 = false;  // the prepared graph is to go through qat::mixed_bf16
};
const std::vector<Preset>& presets();
// Throws ConfigError with the nearest name and the list.
const Preset& find_preset(const std::string& name);

// The configurations of torch.ao's XNNPACKQuantizer (s8 affine activations, weights in [-127, 127],
// scales from 2^-12) and X86InductorQuantizer (u8 affine activations, weights per channel).
// `is_qat`: ranges of activations follow by moving average, else histograms find them.
QuantizationConfig get_symmetric_quantization_config(bool is_per_channel = false,
                                                     bool is_qat = false);
QuantizationConfig get_default_x86_inductor_quantization_config(bool is_qat = false);

}  // namespace stair::qat
