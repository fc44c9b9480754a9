// What an Int8Session does for one input shape: the steps, the shape of every value and its place
// in one block of memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qat/int8/graph.h"

namespace stair::qat {

// One kernel call. A convolution that takes an add with it has `residual` >= 0 and writes the add's
// value.
struct Int8Step {
  int node;           // index in the graph
  int output;         // node whose value is written: node itself, or the fused add
  int residual = -1;  // node whose codes are the other addend
};

struct PlanOptions {
  bool fuse_residual = true;          // adds go with the convolutions before them
  bool keep_all = false;              // no buffer is used twice
  size_t first = 0, last = SIZE_MAX;  // which of the graph's steps: [first, last)
};

struct Int8Plan {
  std::vector<Int8Step> steps;
  std::vector<int> inputs;      // nodes whose values earlier steps of the graph wrote
  std::vector<int> outputs;     // nodes whose values are wanted after these steps
  std::vector<Shape> shapes;    // by node
  std::vector<size_t> offsets;  // by node, into the block; nodes that are views have their input's
  size_t bytes = 0;             // of the block
  size_t bytes_without_reuse = 0;
};

// The shape for n pictures.
Shape with_batch(const Shape& shape, int64_t n);

// Of the value of a node, without the slack behind it.
size_t value_bytes(const Int8Graph& graph, const Int8Plan& plan, int node);

// Throws ShapeError naming the node whose input does not fit.
Int8Plan make_plan(const Int8Graph& graph, const Shape& input, const PlanOptions& options = {});

}  // namespace stair::qat
