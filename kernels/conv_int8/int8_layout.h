// How the weights of the integer matrix product are packed (int8_gemm.h).
#pragma once

#include <algorithm>

#include "kernels/conv_int8/int8_gemm.h"

namespace stair::kernels {

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The sums of each channel's weights, then the panels, group by group. K is one run of codes; where
// A is read from the lines of the picture, a run for each window row, each padded to whole steps.
struct GemmLayout {
  int64_t k, group_channels, panels, units;
  bool lines;
  int64_t runs, run_codes, run_steps, steps;
  size_t panel_bytes, panels_offset;

  GemmLayout(const GemmKernel& kernel, const ConvShape& s)
      : k(s.k()),
        group_channels(s.o / s.groups),
        panels(ceil_div(group_channels, kernel.panel_cols)),
        units(s.groups * panels),
        lines(reads_lines(kernel, s)),
        runs(lines ? s.kh : 1),
        run_codes(k / runs),
        run_steps(ceil_div(ceil_div(run_codes, 4 / kernel.element_bytes), kernel.step_multiple) *
                  kernel.step_multiple),
        steps(runs * run_steps),
        panel_bytes(static_cast<size_t>(steps * kernel.panel_cols * 4)),
        panels_offset(static_cast<size_t>(ceil_div(units * kernel.panel_cols * 4, 64) * 64)) {}

 private:
  // Windows of few channels overlap so much that copying each of them costs more than the few
  // products with padding. Kernels that take many steps at once would pad too much.
  static bool reads_lines(const GemmKernel& kernel, const ConvShape& s) {
    constexpr int64_t kFewChannels = 8;
    return kernel.step_multiple == 1 && s.groups == 1 && s.dilation_w == 1 && s.kh * s.kw > 1 &&
           s.c <= kFewChannels;
  }
};

}  // namespace stair::kernels
