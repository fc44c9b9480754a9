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
Variable GlobalAvgPool::forward(const Variable& x) {
  return autograd::global_avg_pool(x);
}
Variable Flatten::forward(const Variable& x) {
  return autograd::flatten(x);
}

}  // namespace stair::nn
