// An Int8Plan bound to memory: kernel calls that are ready to run.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "autograd/conv_integer.h"
#include "autograd/profile.h"
#include "kernels/qelementwise/qelementwise.h"
#include "qat/int8/plan.h"

namespace stair::qat {

// What a convolution needs besides its input: factors of its epilogue and packed weights.
struct Int8Conv {
  std::vector<float> multiplier;
  kernels::ConvInt8::Args args;  // without x, y, sizes of the picture and residual
  std::unique_ptr<kernels::PackedConvInt8> packed;
};

// By node; those that are no convolution are empty. Packs for the active instruction set.
std::vector<Int8Conv> prepare_convs(const Int8Graph& graph);

// A batch: f32 real numbers, or u8 pixels with the code of every value by channel.
struct Int8Input {
  const std::byte* data;
  const uint8_t* codes_of_pixels = nullptr;  // [quantize node][channel][256]; null: f32
  const float* reals_of_pixels = nullptr;    // [channel][256]; set with codes_of_pixels

  size_t element_bytes() const { return reals_of_pixels != nullptr ? 1 : 4; }
  // The batch without its first `elements`.
  Int8Input behind(size_t elements) const {
    return {data + elements * element_bytes(), codes_of_pixels, reals_of_pixels};
  }
};

// Of a `table` node: the code that it yields for each byte that a code of its input may be.
std::array<uint8_t, 256> table_of(const Int8Node& node, const Int8Format& input);

class Int8Program {
 public:
  // The graph and its convolutions must outlive the program.
  Int8Program(const Int8Graph& graph, const std::vector<Int8Conv>& convs, const Shape& input,
              const PlanOptions& options);

  // Runs every step, from the values of plan().inputs to those of plan().outputs.
  void run(const Int8Input& input) const {
    for (size_t i = 0; i < steps_.size(); ++i) run_step(i, input);
  }
  // Runs one of plan().steps.
  void run_step(size_t step, const Int8Input& input) const {
    const autograd::LayerScope layer(plan_.steps[step].node);
    steps_[step](input);
  }
  std::byte* value(int node) const {
    return block_.get() + plan_.offsets[static_cast<size_t>(node)];
  }
  size_t value_bytes(int node) const { return qat::value_bytes(graph_, plan_, node); }
  const Int8Plan& plan() const { return plan_; }

 private:
  using Step = std::function<void(const Int8Input&)>;
  Step bind(const Int8Step& step) const;
  Step bind_conv(const Int8Step& step) const;
  Step bind_quantize(const Int8Step& step) const;
  Step bind_max_pool(const Int8Step& step) const;
  Step bind_pad(const Int8Step& step) const;
  Step bind_mul(const Int8Step& step) const;
  Step bind_concat(const Int8Step& step) const;
  Step bind_table(const Int8Step& step) const;
  Step bind_input() const;
  Step bind_float(const Int8Step& step) const;
  Step bind_dynamic(const Int8Step& step) const;
  Tensor tensor(int node) const;
  kernels::CodeInput codes(int node) const;
  const Int8Node& node(int i) const { return graph_.nodes[static_cast<size_t>(i)]; }
  const Shape& shape(int i) const { return plan_.shapes[static_cast<size_t>(i)]; }
  std::byte* place(int i) const { return block_.get() + plan_.offsets[static_cast<size_t>(i)]; }

  const Int8Graph& graph_;
  const std::vector<Int8Conv>& convs_;
  Int8Plan plan_;
  std::shared_ptr<std::byte> block_;
  std::vector<Step> steps_;
};

// x = (pixel / 255 - mean) / std of every channel and pixel value, each step rounded to float: f32
// [channels,256]. mean and std are the graph's metadata mean_0, std_0, ... Throws ConfigError where
// they are missing.
Tensor reals_of_pixels(const Int8Graph& graph, int64_t channels);
// Their codes for every quantize node that reads the input: what quantizing the f32 pictures gives.
std::vector<uint8_t> codes_of_pixels(const Int8Graph& graph, const Tensor& reals);

}  // namespace stair::qat
