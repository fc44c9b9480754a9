#include "qat/rule.h"

#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/recompute.h"

namespace stair::qat {

std::vector<RuleSums> run_rule(RuleSums (*span)(const RuleSpan&),
                               const kernels::ChannelLayout& layout, const float* x,
                               const float* gy, const QParams& p, bool relu, float* gx) {
  constexpr int64_t kChunk = 32768;
  const int64_t pieces = (layout.inner + kChunk - 1) / kChunk;
  const int64_t per_channel = layout.outer * pieces;
  std::vector<RuleSums> parts(static_cast<size_t>(layout.channels * per_channel));
  parallel_tasks(layout.channels * per_channel, [&](int64_t task) {
    const int64_t c = task / per_channel, outer = task % per_channel / pieces,
                  begin = task % pieces * kChunk;
    const int64_t offset = (outer * layout.channels + c) * layout.inner + begin;
    const size_t i = static_cast<size_t>(c);
    const float zero = static_cast<float>(p.zero_point[i]);
    parts[static_cast<size_t>(task)] = span(
        {x + offset, gy + offset, gx + offset, std::min(kChunk, layout.inner - begin), p.scale[i],
         static_cast<float>(p.qmin) - zero, static_cast<float>(p.qmax) - zero, relu});
  });
  std::vector<RuleSums> sums(static_cast<size_t>(layout.channels));
  for (size_t i = 0; i < parts.size(); ++i) {
    RuleSums& sum = sums[i / static_cast<size_t>(per_channel)];
    sum.scale += parts[i].scale;
    sum.offset += parts[i].offset;
  }
  return sums;
}

Variable record_rule(const char* name, const Variable& x, const Tensor& y,
                     RuleSums (*span)(const RuleSpan&), const QParams& p, bool relu) {
  return autograd::record(name, {x}, y,
                          [kept = autograd::Kept(x), span, p, relu](const Tensor& gy) {
                            const Tensor xv = kept.get();
                            Tensor gx = Tensor::empty(xv.shape(), DType::f32);
                            run_rule(span, autograd::channel_layout(xv.shape(), p.axis),
                                     xv.data<float>(), gy.data<float>(), p, relu, gx.data<float>());
                            return std::vector<Tensor>{gx};
                          });
}

}  // namespace stair::qat
