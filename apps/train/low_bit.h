// What helps training below 8 bits, each a switch: distillation from the float network, a running
// mean of the weights, dampening and freezing of oscillating weights.
#pragma once

#include <memory>
#include <optional>

#include "apps/train/config.h"
#include "core/safetensors.h"
#include "nn/graph/graph_module.h"
#include "qat/oscillation.h"

namespace stair::apps {

class LowBitHelp {
 public:
  // `teacher`: a network of its own, the float one as quantization began; null without
  // distillation.
  LowBitHelp(const LowBitConfig& config, nn::GraphModule& model,
             std::shared_ptr<nn::GraphModule> teacher);

  const std::shared_ptr<nn::GraphModule>& teacher() const { return teacher_; }

  // (1 - distill) * loss + distill * (distillation from the teacher).
  autograd::Variable loss(const autograd::Variable& loss, const autograd::Variable& logits,
                          const autograd::Variable& pictures);
  // `progress` from 0 to 1 through the quantized steps.
  void after_backward(double progress);
  void after_step(double progress);

  // While it lives, the model has the running means of its parameters, if there are any.
  class MeanScope {
   public:
    explicit MeanScope(LowBitHelp* help);
    ~MeanScope();
    MeanScope(const MeanScope&) = delete;
    MeanScope& operator=(const MeanScope&) = delete;

   private:
    LowBitHelp* help_;
  };

  // Null without tracking.
  const qat::OscillationTracker* tracker() const { return tracker_ ? &*tracker_ : nullptr; }

  // For checkpoints. load_state throws FormatError.
  std::vector<NamedTensor> state() const;
  void load_state(std::span<const NamedTensor> state);

 private:
  void swap_means();

  LowBitConfig config_;
  nn::GraphModule& model_;
  std::shared_ptr<nn::GraphModule> teacher_;
  std::optional<qat::OscillationTracker> tracker_;
  std::vector<nn::NamedVariable> parameters_;
  std::vector<Tensor> means_;
  int64_t steps_ = 0;
};

}  // namespace stair::apps
