#include "qat/rule.h"

#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/recompute.h"
#include "core/storage.h"

namespace stair::qat {

namespace {

// Elements [begin, begin + count): where they lie, or a copy that the formula writes.
class Elements {
 public:
  Elements(const autograd::Deferred& x, int64_t begin, int64_t count)
      : channels_(x.shape()[x.shape().rank() - 1]),
        first_(begin / channels_),
        last_((begin + count + channels_ - 1) / channels_),
        copy_(x.in_pieces() ? sizeof(float) * static_cast<size_t>((last_ - first_) * channels_)
                            : 0) {
    if (x.in_pieces()) x.rows(first_, last_, copy_.as<float>());
    data_ = x.in_pieces() ? copy_.as<float>() + begin - first_ * channels_
                          : x.whole().data<float>() + begin;
  }
  const float* data() const { return data_; }

 private:
  int64_t channels_, first_, last_;  // rows
  Scratch copy_;
  const float* data_;
};

}  // namespace

std::vector<RuleSums> run_rule(RuleSums (*span)(const RuleSpan&), const autograd::Deferred& x,
                               const float* gy, const QParams& p, bool relu, float* gx) {
  constexpr int64_t kChunk = 32768;
  if (p.per_channel()) (void)x.whole();
  const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), p.axis);
  const int64_t pieces = (layout.inner + kChunk - 1) / kChunk;
  const int64_t per_channel = layout.outer * pieces;
  std::vector<RuleSums> parts(static_cast<size_t>(layout.channels * per_channel));
  parallel_tasks(layout.channels * per_channel, [&](int64_t task) {
    const int64_t c = task / per_channel, outer = task % per_channel / pieces,
                  begin = task % pieces * kChunk, count = std::min(kChunk, layout.inner - begin);
    const int64_t offset = (outer * layout.channels + c) * layout.inner + begin;
    const size_t i = static_cast<size_t>(c);
    const float zero = static_cast<float>(p.zero_point[i]);
    const Elements elements(x, offset, count);
    parts[static_cast<size_t>(task)] =
        span({elements.data(), gy + offset, gx + offset, count, p.scale[i],
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
                            const autograd::Deferred xv = kept.deferred();
                            Tensor gx = Tensor::empty(xv.shape(), DType::f32);
                            run_rule(span, xv, gy.data<float>(), p, relu, gx.data<float>());
                            return std::vector<Tensor>{gx};
                          });
}

}  // namespace stair::qat
