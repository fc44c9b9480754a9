#include "qat/ptq/layer_rows.h"

#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/reshape.h"

namespace stair::qat {
namespace {

constexpr int64_t kPositions = 16;  // of a picture: neighbours tell little more

}  // namespace

LayerRows::LayerRows(const QatConvOptions& options, const Shape& weight, int64_t most_bytes)
    : options_(options), channels_(weight[weight.rank() - 1]), outputs_(weight[0]) {
  if (!options.linear) {
    kh_ = weight[1], kw_ = weight[2];
    channels_ *= options.conv.groups;
  }
  window_ = kh_ * kw_ * channels_;
  capacity_ =
      std::max<int64_t>(1, most_bytes / static_cast<int64_t>(sizeof(float)) / (window_ + outputs_));
}

void LayerRows::copy_window(const Tensor& x, int64_t picture, int64_t oy, int64_t ox,
                            float* to) const {
  if (options_.linear) {
    std::copy_n(x.data<float>() + picture * channels_, channels_, to);
    return;
  }
  const autograd::Conv2dOptions& o = options_.conv;
  const int64_t height = x.size(1), width = x.size(2);
  for (int64_t ky = 0; ky < kh_; ++ky)
    for (int64_t kx = 0; kx < kw_; ++kx, to += channels_) {
      const int64_t iy = oy * o.stride[0] - o.padding[0] + ky * o.dilation[0];
      const int64_t ix = ox * o.stride[1] - o.padding[1] + kx * o.dilation[1];
      if (iy < 0 || iy >= height || ix < 0 || ix >= width)
        std::fill_n(to, channels_, 0.0F);
      else
        std::copy_n(x.data<float>() + ((picture * height + iy) * width + ix) * channels_, channels_,
                    to);
    }
}

void LayerRows::take(const Tensor& x, const Tensor& y, Random& random) {
  if (full()) return;
  const Tensor real = autograd::dequantize(x);
  const int64_t width = options_.linear ? 1 : y.size(2);
  const int64_t positions = options_.linear ? 1 : y.size(1) * width;
  const int64_t wanted = std::min(positions, kPositions);
  for (int64_t picture = 0; picture < y.size(0); ++picture)
    for (int64_t i = 0; i < wanted && !full(); ++i) {
      const auto at = positions <= kPositions
                          ? i
                          : static_cast<int64_t>(random.below(static_cast<uint64_t>(positions)));
      ++count_;
      x_.resize(static_cast<size_t>(count_ * window_));
      copy_window(real, picture, at / width, at % width, x_.data() + (count_ - 1) * window_);
      const float* from = y.data<float>() + (picture * positions + at) * outputs_;
      y_.insert(y_.end(), from, from + outputs_);
    }
}

Tensor LayerRows::windows(int64_t rows) const {
  return Tensor::empty(options_.linear || options_.conv.groups == 1
                           ? Shape{rows, window_}
                           : Shape{rows, kh_, kw_, channels_},
                       DType::f32);
}

LayerRows::Batch LayerRows::slice(int64_t begin, int64_t end) const {
  const Tensor x = windows(end - begin), y = Tensor::empty({end - begin, outputs_}, DType::f32);
  std::copy_n(x_.data() + begin * window_, x.numel(), x.data<float>());
  std::copy_n(y_.data() + begin * outputs_, y.numel(), y.data<float>());
  return {Variable(x), y};
}

LayerRows::Batch LayerRows::sample(int64_t rows, Random& random) const {
  const Tensor x = windows(rows), y = Tensor::empty({rows, outputs_}, DType::f32);
  for (int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<int64_t>(random.below(static_cast<uint64_t>(count_)));
    std::copy_n(x_.data() + row * window_, window_, x.data<float>() + i * window_);
    std::copy_n(y_.data() + row * outputs_, outputs_, y.data<float>() + i * outputs_);
  }
  return {Variable(x), y};
}

Variable LayerRows::outputs(const Variable& x, const Variable& weight, const Variable& bias) const {
  if (x.shape().rank() == 2)
    return autograd::linear(x, autograd::reshape(weight, {outputs_, window_}), bias);
  autograd::Conv2dOptions at_one_place;
  at_one_place.groups = options_.conv.groups;
  return autograd::reshape(autograd::conv2d(x, weight, bias, at_one_place), {x.size(0), outputs_});
}

}  // namespace stair::qat
