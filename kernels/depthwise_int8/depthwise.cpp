#include "kernels/depthwise_int8/depthwise.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

namespace stair::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Packed weights: the sum of each channel, then the vectors, then those one row lower.
struct PackedLayout {
  int64_t vectors, groups, vector_bytes, weights_offset, lower;

  PackedLayout(const DepthwiseKernel& kernel, const ConvShape& s)
      : vectors(ceil_div(s.c, kernel.lanes)),
        groups(ceil_div(s.kh, kernel.rows_per_group)),
        vector_bytes(groups * s.kw * kernel.lanes * 4),
        weights_offset(ceil_div(vectors * kernel.lanes * 4, 64) * 64),
        lower(two_rows(kernel, s) ? vectors * vector_bytes : 0) {}

  size_t bytes() const {
    return static_cast<size_t>(weights_offset + vectors * vector_bytes + lower);
  }

 private:
  static bool two_rows(const DepthwiseKernel& kernel, const ConvShape& s) {
    return s.stride_h == 1 && s.dilation_h == 1 && s.kh % kernel.rows_per_group != 0;
  }
};

template <class T>
void pack_channels(const DepthwiseKernel& kernel, const ConvShape& s, const PackedLayout& layout,
                   const int8_t* w, int64_t lower, T* packed) {
  const int64_t lanes = kernel.lanes, rows = kernel.rows_per_group;
  for (int64_t c = 0; c < s.c; ++c) {
    T* vector = packed + c / lanes * layout.vector_bytes / static_cast<int64_t>(sizeof(T));
    for (int64_t ky = 0; ky < s.kh; ++ky)
      for (int64_t kx = 0; kx < s.kw; ++kx)
        vector[(((ky + lower) / rows * s.kw + kx) * lanes + c % lanes) * rows +
               (ky + lower) % rows] = w[(c * s.kh + ky) * s.kw + kx];
  }
}

struct Plan {
  const DepthwiseKernel& kernel;
  const ConvInt8::Args args;
  PackedLayout layout;
  int64_t chunk, chunks = 0, columns = 0, band = 0, bands = 0;
  int32_t stored_zero_point = 0;
  TileEpilogue epilogue;
  std::shared_ptr<std::byte> constants;  // what `channels` points to
  ChannelConstants channels{};

  Plan(const DepthwiseKernel& kernel, const ConvInt8::Args& args);
  int64_t tasks() const { return args.s.n * bands * chunks; }
  void fill();
};

Plan::Plan(const DepthwiseKernel& k, const ConvInt8::Args& a)
    : kernel(k),
      args(a),
      layout(k, a.s),
      chunk(k.lanes * k.chunk_vectors),
      epilogue(tile_epilogue(a)) {
  constexpr int64_t kTaskProducts = 1 << 17, kTasks = 16;
  const ConvShape& s = args.s;
  if (s.rows() == 0) return;
  const int64_t oh = s.oh(), ow = s.ow();
  chunks = ceil_div(s.c, chunk);
  columns = (ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1;
  band = std::clamp<int64_t>(kTaskProducts / (ow * chunk * s.kh * s.kw), 1,
                             ceil_div(s.n * oh * chunks, kTasks));
  if (layout.lower > 0) band = std::min(oh, ceil_div(band, 2) * 2);
  bands = ceil_div(oh, band);
  stored_zero_point = args.x_zero_point + (args.x_signed && kernel.rows_per_group == 4 ? 128 : 0);
  fill();
}

void Plan::fill() {
  const int64_t padded = layout.vectors * kernel.lanes;
  constants = allocate(static_cast<size_t>(padded * 12));
  std::memset(constants.get(), 0, static_cast<size_t>(padded * 12));
  int32_t* offset = reinterpret_cast<int32_t*>(constants.get());
  float* multiplier = reinterpret_cast<float*>(offset + padded);
  float* bias = multiplier + padded;
  fill_channels(args, stored_zero_point, static_cast<const int32_t*>(args.packed), 0, args.s.c,
                offset, multiplier, bias, nullptr);
  channels = {offset, multiplier, bias, nullptr};
}

// Picture row iy of image n, or zero points.
void set_row(const Plan& plan, InterleaveTask& task, int row, int64_t n, int64_t iy, bool exists,
             int64_t c) {
  const ConvShape& s = plan.args.s;
  const bool inside = exists && iy >= 0 && iy < s.h;
  task.rows[row] = inside
                       ? static_cast<const uint8_t*>(plan.args.x) + (n * s.h + iy) * s.w * s.c + c
                       : task.zero_points;
  task.strides[row] = inside ? s.c : 0;
}

// For the output rows [oy, oy + count).
void interleave_row(const Plan& plan, int64_t n, int64_t oy, int64_t count, int64_t c,
                    InterleaveTask task) {
  const ConvShape& s = plan.args.s;
  const int64_t window = s.kh + count - 1;
  const int rows = plan.kernel.rows_per_group;
  for (int64_t group = 0; group < plan.layout.groups; ++group) {
    for (int r = 0; r < rows; ++r) {
      const int64_t ky = group * rows + r;
      set_row(plan, task, r, n, oy * s.stride_h - s.pad_top + ky * s.dilation_h, ky < window, c);
    }
    task.used = static_cast<int>(std::min<int64_t>(rows, window - group * rows));
    plan.kernel.interleave(task);
    task.out += plan.columns * plan.chunk * 4;
  }
}

// `before`: pixels of the part's bands before this one.
void run_band(const Plan& plan, int64_t n, int64_t first, int64_t last, int64_t c,
              TaskMoments& moments, int64_t part, int64_t before) {
  const ConvInt8::Args& args = plan.args;
  const ConvShape& s = args.s;
  const Scratch gathered(
      moments.wanted() ? sizeof(float) * static_cast<size_t>(GatheredMoments::kArrays * plan.chunk)
                       : 0);
  Scratch scratch(
      static_cast<size_t>(plan.layout.groups * plan.columns * plan.chunk * 4 + plan.chunk));
  uint8_t* zero_points = scratch.as<uint8_t>() + plan.layout.groups * plan.columns * plan.chunk * 4;
  std::memset(zero_points, args.x_zero_point, static_cast<size_t>(plan.chunk));
  const int64_t channels = std::min(plan.chunk, s.c - c);
  const InterleaveTask interleave{.rows = {},
                                  .strides = {},
                                  .w = s.w,
                                  .pad_left = s.pad_left,
                                  .columns = plan.columns,
                                  .channels = channels,
                                  .zero_points = zero_points,
                                  .is_signed = args.x_signed,
                                  .used = 0,
                                  .out = scratch.as<uint8_t>()};
  DepthwiseRowTask row{{}, s.kw, s.stride_w, s.dilation_w, plan.columns, s.c, 0};
  row.tile.a = scratch.as<uint8_t>();
  row.tile.rows = s.ow();
  row.tile.steps = plan.layout.groups;
  row.tile.w = static_cast<const uint8_t*>(args.packed) + plan.layout.weights_offset +
               c / plan.kernel.lanes * plan.layout.vector_bytes;
  row.tile.channels = {plan.channels.offset + c, plan.channels.multiplier + c,
                       plan.channels.bias + c, nullptr};
  row.tile.cols = channels;
  row.tile.epilogue = &plan.epilogue;
  row.tile.moments = {gathered.as<float>(), plan.chunk, true};
  const int64_t code_bytes = args.output == ConvOutput::code ? 1 : 4;
  for (int64_t oy = first, count = 1; oy < last; oy += count) {
    count = plan.layout.lower > 0 && oy + 1 < last ? 2 : 1;
    row.lower = count == 2 ? plan.layout.lower : 0;
    interleave_row(plan, n, oy, count, c, interleave);
    const int64_t at = (n * s.oh() + oy) * s.ow() * s.c + c;
    row.tile.y = static_cast<uint8_t*>(args.y) + at * code_bytes;
    row.tile.residual =
        args.residual.q ? static_cast<const uint8_t*>(args.residual.q) + at : nullptr;
    plan.kernel.row(row);
    row.tile.moments.fresh = false;
  }
  if (moments.wanted())
    moments.add(part, before, (last - first) * s.ow(), c, channels, row.tile.moments);
}

}  // namespace

// Padding is written as codes, so the zero point must be one. Weights with a zero point are left to
// the reference.
bool depthwise_supports(const ConvInt8::Args& args) {
  const int32_t low = args.x_signed ? -128 : 0;
  return args.s.depthwise() && args.w_zero_point == nullptr && args.x_zero_point >= low &&
         args.x_zero_point <= low + 255;
}

size_t depthwise_packed_bytes(const DepthwiseKernel& kernel, const ConvShape& s) {
  return PackedLayout(kernel, s).bytes();
}

void depthwise_pack(const DepthwiseKernel& kernel, const ConvInt8::Args& args, void* packed) {
  const ConvShape& s = args.s;
  std::vector<int8_t> codes;
  const int8_t* w = whole_codes(args, codes);
  const PackedLayout layout(kernel, s);
  std::memset(packed, 0, depthwise_packed_bytes(kernel, s));
  int32_t* sums = static_cast<int32_t*>(packed);
  const int64_t window = s.kh * s.kw;
  for (int64_t c = 0; c < s.c; ++c)
    for (int64_t k = 0; k < window; ++k) sums[c] += w[c * window + k];
  std::byte* weights = static_cast<std::byte*>(packed) + layout.weights_offset;
  for (int64_t lower = 0; lower <= (layout.lower > 0 ? 1 : 0); ++lower, weights += layout.lower)
    if (kernel.rows_per_group == 4)
      pack_channels(kernel, s, layout, w, lower, reinterpret_cast<int8_t*>(weights));
    else
      pack_channels(kernel, s, layout, w, lower, reinterpret_cast<int16_t*>(weights));
}

std::function<void()> depthwise_bind(const DepthwiseKernel& kernel, const ConvInt8::Args& args) {
  return [plan = std::make_shared<const Plan>(kernel, args)] {
    const int64_t chunks = plan->chunks, bands = plan->bands, oh = plan->args.s.oh();
    TaskMoments moments(plan->args.moments, plan->args.s.o, plan->args.s.n * bands);
    // Chunks of channels innermost: tasks that follow each other share the cache lines of the
    // picture.
    const auto run = [&](int64_t band, int64_t chunk, int64_t part, int64_t before) {
      const int64_t first = band % bands * plan->band, last = std::min(oh, first + plan->band);
      run_band(*plan, band / bands, first, last, chunk * plan->chunk, moments, part, before);
      return before + (last - first) * plan->args.s.ow();
    };
    if (!moments.wanted())
      return parallel_tasks(plan->tasks(),
                            [&](int64_t task) { run(task / chunks, task % chunks, 0, 0); });
    parallel_tasks(moments.parts(), [&](int64_t part) {
      int64_t before = 0, behind = 0;
      for (int64_t band = moments.first_task(part); band < moments.first_task(part + 1); ++band) {
        for (int64_t chunk = 0; chunk < chunks; ++chunk) behind = run(band, chunk, part, before);
        before = behind;
      }
    });
    moments.combine();
  };
}

}  // namespace stair::kernels
