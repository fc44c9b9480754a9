// Batch normalization of one case: inputs, results on the CPU and on the threads of the GPU's
// kernels, and how near they must be.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <vector>

#include "cuda/norm/batch_norm_phases.h"
#include "tests/support/guarded.h"

namespace stair::cuda {

struct Case {
  int64_t rows, channels;
  bool training, affine;
  float mean, deviation;
};
std::ostream& operator<<(std::ostream& out, const Case& k);

// Shapes that differ in how threads share them, large means, pictures of one pixel.
std::vector<Case> edge_cases();
Case random_case(Random& random);

struct Inputs {
  std::vector<float> x, gy;        // [rows,C]
  std::vector<float> gamma, beta;  // [C], empty for a case that is not affine
  std::vector<float> mean, var;    // [C], read outside training
  // Of the batch, for the backward: the rounding of the forward is not at stake there.
  std::vector<float> saved_mean, saved_invstd;  // [C]
};
Inputs inputs(const Case& k, uint64_t seed);

template <class T>
struct Outputs {
  std::vector<T> mean, var, invstd, y, gx, ggamma, gbeta;
};

// By the kernel of the active instruction set, for double by the reference.
template <class T>
Outputs<T> on_cpu(const Case& k, const Inputs& in);

// As the GPU does it, launch(threads, phase) calling phase(t) for each t.
template <class Launch>
Outputs<float> on_threads(const Case& k, const Inputs& in, const Launch& launch);

// |got - expected| <= 1e-6 times the largest absolute value of the tensor; for gx, times the
// largest |gamma * invstd * gy|.
void expect_agreement(const Case& k, const Inputs& in, const Outputs<float>& got,
                      const Outputs<double>& expected);
void expect_same_bits(const Outputs<float>& got, const Outputs<float>& expected);

template <class T>
const T* data_or_null(const std::vector<T>& values) {
  return values.empty() ? nullptr : values.data();
}

template <class Launch>
Outputs<float> on_threads(const Case& k, const Inputs& in, const Launch& launch) {
  using test::Guarded;
  const int64_t c = k.channels, n = k.rows * c;
  Guarded<float> mean(in.mean), var(in.var), invstd(c), y(n), gx(n), ggamma(c), gbeta(c);
  Guarded<double> memory(Pass<BatchNormForwardArgs>::workspace(k.rows, c));
  run_phases({{k.rows, c, k.training, 1e-5F, in.x.data(), data_or_null(in.gamma),
               data_or_null(in.beta), mean.data(), var.data(), invstd.data(), y.data()},
              memory.data()},
             launch);
  run_phases(
      {{k.rows, c, k.training, in.x.data(), in.gy.data(), data_or_null(in.gamma),
        in.saved_mean.data(), in.saved_invstd.data(), gx.data(), ggamma.data(), gbeta.data()},
       memory.data()},
      launch);
  EXPECT_TRUE(mean.intact() && var.intact() && invstd.intact() && y.intact() && gx.intact() &&
              ggamma.intact() && gbeta.intact() && memory.intact());
  return {mean.values(), var.values(),    invstd.values(), y.values(),
          gx.values(),   ggamma.values(), gbeta.values()};
}

// Threads one after the other.
struct InOrder {
  template <class Phase>
  void operator()(int64_t threads, const Phase& phase) const {
    for (int64_t t = 0; t < threads; ++t) phase(t);
  }
};

}  // namespace stair::cuda
