#include "qat/rule.h"

#include <algorithm>

#include "autograd/dequantize.h"
#include "autograd/recompute.h"
#include "core/storage.h"
#include "kernels/norm/norm.h"

namespace stair::qat {
namespace {

RuleSums& operator+=(RuleSums& a, const RuleSums& b) {
  a.scale += b.scale, a.offset += b.offset;
  return a;
}

// A rule with its parameters.
struct RuleCall {
  RuleSums (*span)(const RuleSpan&);
  const QParams& p;
  bool relu;

  // Sums are in float for as many elements as kSpan says.
  RuleSums run(const float* x, const float* gy, float* gx, int64_t n, size_t channel) const {
    constexpr int64_t kSpan = 32768;
    const float zero = static_cast<float>(p.zero_point[channel]);
    RuleSums sums;
    for (int64_t i = 0; i < n; i += kSpan)
      sums += span({x + i, gy + i, gx + i, std::min(kSpan, n - i), p.scale[channel],
                    static_cast<float>(p.qmin) - zero, static_cast<float>(p.qmax) - zero, relu});
    return sums;
  }
};

// One scale: rows of x, a block that stays in the cache after the other.
RuleSums run_rows(const RuleCall& rule, const autograd::Deferred& x, const float* gy, float* gx,
                  const autograd::GradientWatch* watch) {
  constexpr int64_t kBlockFloats = 8192;
  const Shape& shape = x.shape();
  if (shape.numel() == 0) return {};
  const int64_t channels = shape.rank() > 0 ? shape[shape.rank() - 1] : 1;
  const int64_t rows = shape.numel() / channels,
                block = std::max<int64_t>(1, kBlockFloats / channels);
  const kernels::RowChunks chunks = kernels::row_chunks(rows, channels);
  const bool in_pieces = x.in_pieces();
  if (watch != nullptr) watch->chunks(chunks.count);
  std::vector<RuleSums> parts(static_cast<size_t>(chunks.count));
  parallel_for(rows, chunks.rows, [&](int64_t first, int64_t last) {
    const SerialLoops serial;
    const int64_t chunk = first / chunks.rows;
    const Scratch copy(in_pieces ? sizeof(float) * static_cast<size_t>(block * channels) : 0);
    for (int64_t begin = first; begin < last; begin += block) {
      const int64_t end = std::min(begin + block, last), at = begin * channels;
      if (in_pieces) x.rows(begin, end, copy.as<float>());
      const float* values = in_pieces ? copy.as<float>() : x.whole().data<float>() + at;
      parts[static_cast<size_t>(chunk)] +=
          rule.run(values, gy + at, gx + at, (end - begin) * channels, 0);
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
  constexpr int64_t kChunk = 32768;
  const kernels::ChannelLayout layout = autograd::channel_layout(x.shape(), rule.p.axis);
  const int64_t pieces = (layout.inner + kChunk - 1) / kChunk;
  const int64_t per_channel = layout.outer * pieces;
  std::vector<RuleSums> parts(static_cast<size_t>(layout.channels * per_channel));
  parallel_tasks(layout.channels * per_channel, [&](int64_t task) {
    const int64_t c = task / per_channel, outer = task % per_channel / pieces,
                  begin = task % pieces * kChunk;
    const int64_t at = (outer * layout.channels + c) * layout.inner + begin;
    parts[static_cast<size_t>(task)] =
        rule.run(x.data<float>() + at, gy + at, gx + at, std::min(kChunk, layout.inner - begin),
                 static_cast<size_t>(c));
  });
  std::vector<RuleSums> sums(static_cast<size_t>(layout.channels));
  for (size_t i = 0; i < parts.size(); ++i) sums[i / static_cast<size_t>(per_channel)] += parts[i];
  return sums;
}

}  // namespace

std::vector<RuleSums> run_rule(RuleSums (*span)(const RuleSpan&), const autograd::Deferred& x,
                               const float* gy, const QParams& p, bool relu, float* gx,
                               const autograd::GradientWatch* watch) {
  const RuleCall rule{span, p, relu};
  if (p.per_channel()) return run_channels(rule, x.whole(), gy, gx);
  return {run_rows(rule, x, gy, gx, watch != nullptr && watch->readers == 1 ? watch : nullptr)};
}

Variable record_rule(const char* name, const Variable& x, const Tensor& y,
                     RuleSums (*span)(const RuleSpan&), const QParams& p, bool relu) {
  return autograd::record(
      name, {x}, y, [kept = autograd::Kept(x), watch = x.watch(), span, p, relu](const Tensor& gy) {
        const autograd::Deferred xv = kept.deferred();
        Tensor gx = Tensor::empty(xv.shape(), DType::f32);
        run_rule(span, xv, gy.data<float>(), p, relu, gx.data<float>(), watch.get());
        return std::vector<Tensor>{gx};
      });
}

}  // namespace stair::qat
