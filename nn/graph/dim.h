// Which sizes of an input a captured graph takes: torch.export's Dim and dynamic_shapes.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "core/shape.h"

namespace stair::nn {

// A size in [min, max]. Dimensions of the same name have the same size; one without a name is held
// to the size that it was captured with, min = max.
struct Dim {
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  std::string name;
  int64_t min = 1, max = kNoLimit;
  bool operator==(const Dim&) const = default;
};

// By dimension of the input; dimensions that are absent are static.
using DynamicShapes = std::map<int, Dim>;

// One a dimension of the example. Throws ConfigError for a dimension that the example has not, a
// Dim without a name or with min above max or below 0, a name with two different bounds, and what
// check_dims throws for the example itself.
std::vector<Dim> dims_of(const std::string& input, const Shape& example,
                         const DynamicShapes& dynamic);

// Throws ShapeError naming input, dimension and bounds unless the shape is allowed.
void check_dims(const std::string& input, const std::vector<Dim>& dims, const Shape& shape);

// "batch in [1,64]", "side >= 32", "224".
std::string describe(const Dim& dim);

}  // namespace stair::nn
