#include "tests/support/stack.h"

namespace stair::test {

Tensor stack(const std::vector<Tensor>& steps) {
  std::vector<int64_t> dims = steps.at(0).shape().dims();
  dims.insert(dims.begin(), static_cast<int64_t>(steps.size()));
  Tensor stacked = Tensor::empty(Shape(dims), steps[0].dtype());
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i);
    Tensor place = stacked.slice(row, row + 1);
    place.copy_from(steps[i].reshape(place.shape()));
  }
  return stacked;
}

Tensor step_of(const Tensor& stacked, int64_t step) {
  const std::vector<int64_t>& dims = stacked.shape().dims();
  return stacked.slice(step, step + 1).reshape(Shape({dims.begin() + 1, dims.end()})).clone();
}

}  // namespace stair::test
