#include "autograd/deferred.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"
#include "kernels/elementwise/elementwise.h"

namespace stair::autograd {
namespace {

// Half of a first-level cache.
constexpr int64_t kPieceFloats = 4096;
// Pieces begin at whole words of a mask of bits.
constexpr int64_t kMultiple = 64;

}  // namespace

Deferred::Deferred(Pixels pixels)
    : shape_(pixels.bytes.shape()),
      rows_([pixels](int64_t begin, int64_t end, float* into) { pixels.reals(begin, end, into); }),
      pixels_(std::make_shared<const Pixels>(pixels)) {
  if (shape_.rank() < 1 || row_size() != pixels.values.size(0))
    throw ShapeError(str("pixels: bytes ", pixels.bytes, " and values ", pixels.values,
                         ", expected [...,C] and [C,256]"));
}

const Tensor& Deferred::whole() const {
  if (in_pieces()) {
    whole_ = Tensor::empty(shape_, DType::f32);
    if (shape_.numel() > 0) rows_(0, shape_.numel() / row_size(), whole_.data<float>());
    rows_ = nullptr;
  }
  return whole_;
}

void Deferred::for_pieces(
    const std::function<void(int64_t first, std::span<float> values)>& f) const {
  if (shape_.numel() == 0) return;
  const int64_t channels = row_size();
  const int64_t block = kMultiple / std::gcd(kMultiple, channels);
  const int64_t rows = std::max<int64_t>(kPieceFloats / (block * channels), 1) * block;
  parallel_for(shape_.numel() / channels, rows, [&](int64_t begin, int64_t end) {
    const SerialLoops serial;
    const auto count = static_cast<size_t>((end - begin) * channels);
    const Scratch piece(sizeof(float) * count);
    rows_(begin, end, piece.as<float>());
    f(begin * channels, {piece.as<float>(), count});
  });
}

RowsOf::RowsOf(const Deferred& x, int64_t begin, int64_t end)
    : copy_(x.in_pieces() ? sizeof(float) * static_cast<size_t>((end - begin) * x.row_size()) : 0),
      data_(copy_.as<float>()) {
  if (x.in_pieces())
    x.rows(begin, end, copy_.as<float>());
  else
    data_ = x.whole().data<float>() + begin * x.row_size();
}

void Deferred::add(const Deferred& other) {
  if (!defined()) {
    *this = other;
    return;
  }
  const Tensor& g = other.whole();
  whole();
  if (whole_.shape() != g.shape() || whole_.dtype() != g.dtype())
    throw ShapeError(str("backward: gradients ", whole_, " and ", g, " of one variable differ"));
  if (!whole_.unique()) whole_ = whole_.clone();
  if (g.dtype() == DType::f64)
    kernels::run<kernels::Axpy<double>>({g.numel(), 1.0, g.data<double>(), whole_.data<double>()});
  else
    kernels::run<kernels::Axpy<float>>({g.numel(), 1.0F, g.data<float>(), whole_.data<float>()});
}

}  // namespace stair::autograd
