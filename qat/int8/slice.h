// The pictures of a batch that pass through an Int8Graph together.
#pragma once

#include <memory>
#include <vector>

#include "qat/int8/program.h"

namespace stair::qat {

// Whether an image's value depends on the other images of its batch.
bool sees_whole_batch(const Int8Node& node);

// How many of the steps of a plan for one picture are better run picture by picture than layer by
// layer: fewer bytes pass between the caches of a core and what lies behind them. Before them are
// the large pictures, behind them the large weights.
size_t steps_by_picture(const Int8Graph& graph, const Int8Plan& one);

// In the first steps each thread takes one picture after the other, whose values stay in the caches
// of its core; in the others all threads share each layer, whose weights are read once. The
// integers do not depend on it.
class Int8Slice {
 public:
  // input: shape of the pictures. The graph and its convolutions must outlive the slice. Where the
  // pictures are too few to keep every thread busy, all steps run layer by layer.
  Int8Slice(const Int8Graph& graph, const std::vector<Int8Conv>& convs, const Shape& input,
            bool fuse_residual, size_t by_picture);

  void run(const Int8Input& input) const;
  // The last node's value.
  const std::byte* result() const { return by_layer_->value(by_layer_->plan().outputs.front()); }

 private:
  int64_t pictures_;
  size_t elements_;                                       // of a picture
  std::vector<std::unique_ptr<Int8Program>> by_picture_;  // one for each thread, or none
  std::unique_ptr<Int8Program> by_layer_;
};

}  // namespace stair::qat
