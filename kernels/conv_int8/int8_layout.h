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
// Weights of few bits: byte i of a block of a panel holds, lowest bits first, the codes i, i + 64,
// i + 128 ... of the panel from the block's first code on, so that whole vectors unpack at once.
struct GemmLayout {
  int64_t k, group_channels, panels, units;
  bool lines;
  int64_t runs, run_codes, run_steps, steps;
  int64_t blocks;      // of a packed panel; 0: panels are not packed
  size_t panel_codes;  // bytes of a panel as the inner loops read it
  size_t panel_bytes, panels_offset;

  GemmLayout(const GemmKernel& kernel, const ConvInt8::Args& args)
      : GemmLayout(kernel, args.s, args.w_bits) {}
  GemmLayout(const GemmKernel& kernel, const ConvShape& s, int bits)
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
        blocks(bits < 8 ? ceil_div(steps * kernel.panel_cols * 4 / kernel.element_bytes,
                                   kPackedBlock * 8 / bits)
                        : 0),
        panel_codes(
            static_cast<size_t>(blocks > 0 ? blocks * kPackedBlock * 8 / bits * kernel.element_bytes
                                           : steps * kernel.panel_cols * 4)),
        panel_bytes(blocks > 0 ? static_cast<size_t>(blocks * kPackedBlock) : panel_codes),
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
