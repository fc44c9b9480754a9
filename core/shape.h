// Shapes of dense row-major tensors.
//
// Letters used in documents and messages:
//   N batch, H height, W width, C channels            activations, order NHWC
//   O output channels, KH KW window, I input channels  convolution weights, order OHWI (I = C /
//   groups)
#pragma once

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <vector>

namespace stair {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  int rank() const { return static_cast<int>(dims_.size()); }
  // Dimension `i`; negative `i` counts from the end.
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i < 0 ? i + rank() : i)]; }
  // Product of the dimensions; 1 for a scalar.
  int64_t numel() const;
  const std::vector<int64_t>& dims() const { return dims_; }
  bool operator==(const Shape&) const = default;

 private:
  std::vector<int64_t> dims_;
};

// Prints as [2,3,4].
std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace stair
