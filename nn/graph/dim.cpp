#include "nn/graph/dim.h"

#include "core/error.h"

namespace stair::nn {
namespace {

constexpr const char* kHint = "capture it with a Dim that allows the size";

}  // namespace

std::string describe(const Dim& dim) {
  if (dim.name.empty()) return str(dim.min);
  if (dim.max == Dim::kNoLimit) return str(dim.name, " >= ", dim.min);
  return str(dim.name, " in [", dim.min, ",", dim.max, "]");
}

std::vector<Dim> dims_of(const std::string& input, const Shape& example,
                         const DynamicShapes& dynamic) {
  std::vector<Dim> dims;
  for (const int64_t size : example.dims()) dims.push_back({"", size, size});
  std::map<std::string, Dim> named;
  for (const auto& [i, dim] : dynamic) {
    const auto fail = [&](const auto&... what) {
      throw ConfigError(str("capture: dimension ", i, " of '", input, "' ", what...));
    };
    if (i < 0 || i >= example.rank()) fail("has a Dim, but the example is ", example);
    if (dim.name.empty()) fail("has a Dim without a name");
    if (dim.min < 0 || dim.min > dim.max) fail("has the bounds ", dim.min, " to ", dim.max);
    const Dim& first = named.emplace(dim.name, dim).first->second;
    if (first != dim) fail("is ", describe(dim), ", another is ", describe(first));
    dims[static_cast<size_t>(i)] = dim;
  }
  check_dims(input, dims, example);
  return dims;
}

void check_dims(const std::string& input, const std::vector<Dim>& dims, const Shape& shape) {
  if (shape.rank() != static_cast<int>(dims.size()))
    throw ShapeError(
        str("graph: '", input, "' is ", shape, ", expected ", dims.size(), " dimensions"));
  std::map<std::string, int> first;  // dimension of each name
  for (int i = 0; i < shape.rank(); ++i) {
    const Dim& dim = dims[static_cast<size_t>(i)];
    const auto fail = [&](const auto&... expected) {
      throw ShapeError(str("graph: '", input, "' is ", shape, ": dimension ", i, " has size ",
                           shape[i], ", expected ", expected...),
                       kHint);
    };
    if (shape[i] < dim.min || shape[i] > dim.max)
      fail(describe(dim), dim.name.empty() ? ", the size of the example" : "");
    if (dim.name.empty()) continue;
    const int other = first.emplace(dim.name, i).first->second;
    if (shape[other] != shape[i])
      fail(shape[other], ": it is ", dim.name, ", as dimension ", other, " is");
  }
}

}  // namespace stair::nn
