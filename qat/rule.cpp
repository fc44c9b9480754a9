#include "qat/rule.h"

#include <algorithm>

namespace stair::qat {

void run_rule(double (*span)(const RuleSpan&), const kernels::ChannelLayout& layout, const float* x,
              const float* gy, const QParams& p, bool relu, float factor, float* gx,
              float* gscale) {
  constexpr int64_t kChunk = 32768;
  const int64_t pieces = (layout.inner + kChunk - 1) / kChunk;
  const int64_t per_channel = layout.outer * pieces;
  std::vector<double> sums(static_cast<size_t>(layout.channels * per_channel));
  parallel_tasks(layout.channels * per_channel, [&](int64_t task) {
    const int64_t c = task / per_channel, outer = task % per_channel / pieces,
                  begin = task % pieces * kChunk;
    const int64_t offset = (outer * layout.channels + c) * layout.inner + begin;
    const size_t i = static_cast<size_t>(c);
    const float zero = static_cast<float>(p.zero_point[i]);
    sums[static_cast<size_t>(task)] = span(
        {x + offset, gy + offset, gx + offset, std::min(kChunk, layout.inner - begin), p.scale[i],
         static_cast<float>(p.qmin) - zero, static_cast<float>(p.qmax) - zero, relu});
  });
  for (int64_t c = 0; c < layout.channels; ++c) {
    double sum = 0;
    for (int64_t i = 0; i < per_channel; ++i) sum += sums[static_cast<size_t>(c * per_channel + i)];
    gscale[c] = factor * static_cast<float>(sum);
  }
}

}  // namespace stair::qat
