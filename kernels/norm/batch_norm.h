// The parallel frame of the fast batch normalization: rows are cut into chunks by the shape alone,
// each chunk is reduced by a loop of one instruction set, and the chunks are combined in order.
#pragma once

#include "kernels/norm/norm.h"

namespace stair::kernels {

// The values y that NormalizedOutput calls inside: [low, high]; empty where low > high or one is
// NaN. y only ever grows through activation function, scale and rounding, so two comparisons are
// enough.
struct InsideRange {
  float low, high;
};

// The loops, each over `rows` rows of `channels` floats.
struct BatchNormLoops {
  // Mean of each channel and sum of the squared differences to it; with min and max, also those.
  void (*statistics)(const float* x, int64_t rows, int64_t channels, double* mean, double* squares,
                     float* min, float* max);
  // y = (x - mean) * scale + shift
  void (*normalize)(const float* x, int64_t rows, int64_t channels, const float* mean,
                    const float* scale, const float* shift, float* y);
  // sum += sum of gy, product += sum of gy * (x - mean)
  void (*gradient_sums)(const float* x, const float* gy, int64_t rows, int64_t channels,
                        const float* mean, double* sum, double* product);
  // gx = scale * (gy - shift - (x - mean) * slope)
  void (*gradient)(const float* x, const float* gy, int64_t rows, int64_t channels,
                   const float* mean, const float* scale, const float* shift, const float* slope,
                   float* gx);
  // The result of rows that begin at k.x; f32 may pass the caches when it is `far`.
  void (*activate)(const NormalizedOutput<float>& k, void* result, bool far);
  // gradient_sums and gradient of gy where it is inside, else 0.
  void (*masked_sums)(const NormalizedOutput<float>& k, const InsideRange& inside, const float* gy,
                      double* sum, double* product);
  void (*masked_gradient)(const NormalizedOutput<float>& k, const InsideRange& inside,
                          const float* gy, const float* scale, const float* shift,
                          const float* slope, float* gx);
};

void batch_norm_forward(const BatchNormForward<float>::Args& a, const BatchNormLoops& loops);
void batch_norm_backward(const BatchNormBackward<float>::Args& a, const BatchNormLoops& loops);

void batch_statistics(const BatchStatistics<float>::Args& a, const BatchNormLoops& loops);
void normalize_activate(const NormalizeActivate<float>::Args& a, const BatchNormLoops& loops);
void normalize_activate_sums(const NormalizeActivateSums<float>::Args& a,
                             const BatchNormLoops& loops);
void normalize_activate_gradient(const NormalizeActivateGradient<float>::Args& a,
                                 const BatchNormLoops& loops);

}  // namespace stair::kernels
