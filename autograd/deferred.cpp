#include "autograd/deferred.h"

#include "kernels/elementwise/elementwise.h"

namespace stair::autograd {

const Tensor& Deferred::whole() const {
  if (in_pieces()) {
    whole_ = Tensor::empty(shape_, DType::f32);
    rows_(0, shape_.numel() / shape_[shape_.rank() - 1], whole_.data<float>());
    rows_ = nullptr;
  }
  return whole_;
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
