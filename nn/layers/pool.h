// Pooling layers and what turns a picture into a row of features.
#pragma once

#include "autograd/pool2d.h"
#include "nn/module.h"

namespace stair::nn {

// A square window with the same stride and padding in both directions.
autograd::Pool2dOptions square_pool(int64_t kernel, int64_t stride, int64_t padding = 0);

// x [N,H,W,C] -> [N,OH,OW,C], the largest element of each window.
class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(const autograd::Pool2dOptions& options) : options_(options) {}
  Variable forward(const Variable& x) override;

 private:
  autograd::Pool2dOptions options_;
};

// x [N,H,W,C] -> [N,OH,OW,C], the mean of each window.
class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(const autograd::Pool2dOptions& options) : options_(options) {}
  Variable forward(const Variable& x) override;

 private:
  autograd::Pool2dOptions options_;
};

// x [N,H,W,C] -> [N,rows,columns,C], the means of windows that divide the picture evenly. Throws
// ShapeError where they cannot: windows of different sizes have no integer kernel.
class AdaptiveAvgPool2d : public Module {
 public:
  AdaptiveAvgPool2d(int64_t rows, int64_t columns);
  Variable forward(const Variable& x) override;

 private:
  int64_t rows_, columns_;
};

// x [N,H,W,C] -> [N,1,1,C], the mean of each channel.
class GlobalAvgPool : public Module {
 public:
  Variable forward(const Variable& x) override;
};

// x [N,...] -> [N,rest].
class Flatten : public Module {
 public:
  Variable forward(const Variable& x) override;
};

}  // namespace stair::nn
