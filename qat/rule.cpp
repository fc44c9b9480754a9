#include "qat/rule.h"

#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/recompute.h"
#include "kernels/norm/norm.h"

namespace stair::qat {
namespace {

// Elements whose sums are in float.
constexpr int64_t kSpan = 32768;

RuleSums& operator+=(RuleSums& a, const RuleSums& b) {
  a.scale += b.scale, a.offset += b.offset;
  return a;
}

// n elements of one channel.
RuleSums run(const RuleCall& rule, const float* x, const float* gy, float* gx, int64_t n,
             size_t channel = 0) {
  const QParams& p = rule.qparams;
  const float zero = static_cast<float>(p.zero_point[channel]);
  RuleSums sums;
  for (int64_t i = 0; i < n; i += kSpan)
    sums += rule.span({x + i, gy + i, gx + i, std::min(kSpan, n - i), p.scale[channel],
                       static_cast<float>(p.qmin) - zero, static_cast<float>(p.qmax) - zero,
                       rule.relu});
  return sums;
}

// One scale: rows of x, a block that stays in the cache after the other.
RuleSums run_rows(const RuleCall& rule, const autograd::Deferred& x, const float* gy, float* gx,
                  const autograd::GradientWatch* watch) {
  constexpr int64_t kBlockFloats = 8192;
  if (x.shape().numel() == 0) return {};
  const int64_t channels = x.row_size(), rows = x.shape().numel() / channels,
                block = std::max<int64_t>(1, kBlockFloats / channels);
  const kernels::RowChunks chunks = kernels::row_chunks(rows, channels);
  if (watch != nullptr) watch->chunks(chunks.count);
  std::vector<RuleSums> parts(static_cast<size_t>(chunks.count));
  parallel_for(rows, chunks.rows, [&](int64_t first, int64_t last) {
    const SerialLoops serial;
    const int64_t chunk = first / chunks.rows;
    for (int64_t begin = first; begin < last; begin += block) {
      const int64_t end = std::min(begin + block, last), at = begin * channels;
      const autograd::RowsOf values(x, begin, end);
      parts[static_cast<size_t>(chunk)] +=
          run(rule, values.data(), gy + at, gx + at, (end - begin) * channels);
      if (watch != nullptr) watch->written(chunk, begin, end, gx + at);
    }
  });
  RuleSums sum;
  for (const RuleSums& part : parts) sum += part;
  return sum;
}

// A scale a channel.
std::vector<RuleSums> run_channels(const RuleCall& rule, const Tensor& x, const float* gy,
                                   float* gx) {
  const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), rule.qparams.axis);
  const int64_t pieces = (layout.inner + kSpan - 1) / kSpan;
  const int64_t per_channel = layout.outer * pieces;
  std::vector<RuleSums> parts(static_cast<size_t>(layout.channels * per_channel));
  parallel_tasks(layout.channels * per_channel, [&](int64_t task) {
    const int64_t c = task / per_channel, outer = task % per_channel / pieces,
                  begin = task % pieces * kSpan;
    const int64_t at = (outer * layout.channels + c) * layout.inner + begin;
    parts[static_cast<size_t>(task)] =
        run(rule, x.data<float>() + at, gy + at, gx + at, std::min(kSpan, layout.inner - begin),
            static_cast<size_t>(c));
  });
  std::vector<RuleSums> sums(static_cast<size_t>(layout.channels));
  for (size_t i = 0; i < parts.size(); ++i) sums[i / static_cast<size_t>(per_channel)] += parts[i];
  return sums;
}

}  // namespace

std::vector<RuleSums> run_rule(const RuleCall& rule, const autograd::Deferred& x, const Tensor& gy,
                               const Tensor& gx, const autograd::GradientWatch* watch) {
  if (rule.qparams.per_channel())
    return run_channels(rule, x.whole(), gy.data<float>(), gx.data<float>());
  if (watch != nullptr && watch->readers != 1) watch = nullptr;
  return {run_rows(rule, x, gy.data<float>(), gx.data<float>(), watch)};
}

Variable record_rule(const char* name, const Variable& x, const Tensor& y,
                     RuleSums (*span)(const RuleSpan&), const QParams& p, bool relu) {
  return autograd::record(
      name, {x}, y, [kept = autograd::Kept(x), watch = x.watch(), span, p, relu](const Tensor& gy) {
        const autograd::Deferred xv = kept.deferred();
        Tensor gx = Tensor::empty(xv.shape(), DType::f32);
        run_rule({span, p, relu}, xv, gy, gx, watch.get());
        return std::vector<Tensor>{gx};
      });
}

}  // namespace stair::qat
