// How far two forms of a value are apart.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace stair::qat {

// Shares of codes at the ends of their range, where values may have been cut off. An end that is
// the zero point (behind a ReLU) does not count.
struct Saturation {
  double low = 0, high = 0;  // codes
  double codes = 0;
  void add(const Tensor& codes);  // with QParams
  double share() const { return codes > 0 ? (low + high) / codes : 0; }
};

// Sums over pairs of tensors of equal element counts, f32 or codes with QParams; `a` is the
// reference. With d = b - a over all elements, in real numbers:
//   sqnr             10 log10(sum a^2 / sum d^2) dB, infinite when there is no difference
//   cosine           sum a b / sqrt(sum a^2 * sum b^2); 1 when both are zero
//   largest          max |d|
class Difference {
 public:
  struct Codes {
    std::vector<int64_t> index;  // in the tensor; the first number counts through all batches
    int32_t a, b;
  };

  // Throws ShapeError when the tensors have not equally many elements.
  void add(const Tensor& a, const Tensor& b);

  double sqnr() const;
  double cosine() const;
  double largest() const { return largest_; }
  // Whether all elements were codes in both. Then: how many differ, the first that does, and
  // whether scales and zero points are equal.
  bool integers() const { return integers_; }
  int64_t different() const { return different_; }
  const std::optional<Codes>& first() const { return first_; }
  bool same_steps() const { return same_steps_; }
  int64_t elements() const { return elements_; }
  const Saturation& saturation_a() const { return saturation_a_; }
  const Saturation& saturation_b() const { return saturation_b_; }

 private:
  void add_codes(const Tensor& a, const Tensor& b);

  double squares_a_ = 0, squares_b_ = 0, products_ = 0, noise_ = 0, largest_ = 0;
  int64_t elements_ = 0, rows_ = 0, different_ = 0;
  bool integers_ = true, same_steps_ = true;
  std::optional<Codes> first_;
  Saturation saturation_a_, saturation_b_;
};

}  // namespace stair::qat
