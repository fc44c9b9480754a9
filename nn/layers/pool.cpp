#include "nn/layers/pool.h"

#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/flatten.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/max_pool2d.h"

namespace stair::nn {

autograd::Pool2dOptions square_pool(int64_t kernel, int64_t stride, int64_t padding) {
  autograd::Pool2dOptions options;
  options.kernel = {kernel, kernel};
  options.stride = {stride, stride};
  options.padding = {padding, padding, padding, padding};
  return options;
}

Variable MaxPool2d::forward(const Variable& x) {
  return autograd::max_pool2d(x, options_);
}
Variable AvgPool2d::forward(const Variable& x) {
  return autograd::avg_pool2d(x, options_);
}
AdaptiveAvgPool2d::AdaptiveAvgPool2d(int64_t rows, int64_t columns)
    : rows_(rows), columns_(columns) {
  if (rows < 1 || columns < 1)
    throw ConfigError(
        str("AdaptiveAvgPool2d: ", rows, "x", columns, " outputs, expected at least 1x1"));
}

Variable AdaptiveAvgPool2d::forward(const Variable& x) {
  if (rows_ == 1 && columns_ == 1) return autograd::global_avg_pool(x);
  if (x.shape().rank() != 4 || x.size(1) % rows_ != 0 || x.size(2) % columns_ != 0)
    throw ShapeError(
        str("AdaptiveAvgPool2d: ", rows_, "x", columns_,
            " outputs do not divide the picture evenly; got x ", x.value(), " [N,H,W,C]"),
        "choose outputs, or a picture size, that do");
  autograd::Pool2dOptions options;
  options.kernel = options.stride = {x.size(1) / rows_, x.size(2) / columns_};
  return autograd::avg_pool2d(x, options);
}
Variable GlobalAvgPool::forward(const Variable& x) {
  return autograd::global_avg_pool(x);
}
Variable Flatten::forward(const Variable& x) {
  return autograd::flatten(x);
}

}  // namespace stair::nn
