#include "kernels/conv_int8/int8_gemm.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

namespace stair::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Where the parts of the packed weights lie: the sums of each channel's weights, then the panels,
// group by group.
struct PackedLayout {
  int64_t k, group_channels, panels, units, steps;
  size_t panel_bytes, panels_offset;

  PackedLayout(const GemmKernel& kernel, const ConvShape& s)
      : k(s.k()),
        group_channels(s.o / s.groups),
        panels(ceil_div(group_channels, kernel.panel_cols)),
        units(s.groups * panels),
        steps(ceil_div(ceil_div(k, 4 / kernel.element_bytes), kernel.step_multiple) *
              kernel.step_multiple),
        panel_bytes(static_cast<size_t>(steps * kernel.panel_cols * 4)),
        panels_offset(static_cast<size_t>(ceil_div(units * kernel.panel_cols * 4, 64) * 64)) {}
};

// One channel's weights [begin, end) of K into its column of a panel.
template <class T>
void pack_column(const int8_t* w, int64_t begin, int64_t end, int64_t panel_cols, T* column) {
  constexpr int64_t kStep = 4 / sizeof(T);
  int64_t k = begin;
  for (; k + kStep <= end; k += kStep) {
    T word[kStep];
    for (int64_t i = 0; i < kStep; ++i) word[i] = w[k + i];
    std::memcpy(column + k * panel_cols, word, sizeof(word));
  }
  for (int64_t i = 0; k + i < end; ++i) column[k * panel_cols + i] = w[k + i];
}

template <class T>
void pack_panel(const int8_t* w, int64_t channels, int64_t k, int64_t panel_cols, T* panel,
                int32_t* sums) {
  constexpr int64_t kBlock = 256;  // of K at a time, so that the lines written to stay in the cache
  constexpr int64_t kStep = 4 / sizeof(T);
  for (int64_t begin = 0; begin < k; begin += kBlock)
    for (int64_t c = 0; c < channels; ++c)
      pack_column(w + c * k, begin, std::min(k, begin + kBlock), panel_cols, panel + c * kStep);
  for (int64_t c = 0; c < channels; ++c) {
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += w[c * k + i];
    sums[c] = sum;
  }
}

struct Plan {
  const GemmKernel& kernel;
  const ConvInt8::Args& args;
  PackedLayout layout;
  int64_t rows, a_stride;
  bool direct;  // x itself is A
  int64_t row_chunk, row_tasks, unit_chunk, unit_tasks;
  TileEpilogue epilogue;
  ChannelConstants channels{};
  GatherTask gather{};

  Plan(const GemmKernel& kernel, const ConvInt8::Args& args);
  int32_t stored_zero_point() const {
    return args.x_zero_point + (args.x_signed && kernel.element_bytes == 1 ? 128 : 0);
  }
  void split();
  void describe_gather();
};

Plan::Plan(const GemmKernel& k, const ConvInt8::Args& a)
    : kernel(k), args(a), layout(k, a.s), rows(a.s.rows()), epilogue(tile_epilogue(a)) {
  const ConvShape& s = args.s;
  const bool x_is_a = s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 &&
                      s.pad_top == 0 && s.pad_left == 0 && s.pad_bottom == 0 && s.pad_right == 0 &&
                      s.groups == 1;
  direct = x_is_a && kernel.element_bytes == 1 && !args.x_signed && args.w_zero_point == nullptr &&
           layout.steps * 4 == layout.k;
  a_stride = layout.steps * 4;
  // Rows a power of two apart would share few sets of the first-level cache.
  if (!direct && a_stride % 1024 == 0) a_stride += 64;
  split();
  describe_gather();
}

// Rows of a task fill a part of the L2 cache; small problems are cut finer, first by rows, then by
// panels.
void Plan::split() {
  constexpr int64_t kCacheBytes = 256 << 10, kMaxBlocks = 16, kMinBlocks = 4, kTasks = 16,
                    kMinTaskMacs = 1 << 20;
  const int64_t block = kernel.row_block;
  const int64_t wanted = std::clamp<int64_t>(rows * layout.k * args.s.o / kMinTaskMacs, 1, kTasks);
  int64_t blocks = std::clamp<int64_t>(kCacheBytes / (a_stride * block), 1, kMaxBlocks);
  blocks = std::min(blocks, std::max(kMinBlocks, ceil_div(rows, block * wanted)));
  row_chunk = blocks * block;
  row_tasks = ceil_div(rows, row_chunk);
  const int64_t unit_parts = std::min(layout.units, ceil_div(wanted, row_tasks));
  unit_chunk = ceil_div(layout.units, unit_parts);
  unit_tasks = ceil_div(layout.units, unit_chunk);
}

void Plan::describe_gather() {
  const ConvShape& s = args.s;
  gather = {.x = static_cast<const uint8_t*>(args.x),
            .h = s.h,
            .w = s.w,
            .c = s.c,
            .i = s.i(),
            .kh = s.kh,
            .kw = s.kw,
            .stride_h = s.stride_h,
            .stride_w = s.stride_w,
            .pad_top = s.pad_top,
            .pad_left = s.pad_left,
            .dilation_h = s.dilation_h,
            .dilation_w = s.dilation_w,
            .oh = s.oh(),
            .ow = s.ow(),
            .dense_taps = s.groups == 1 && (s.dilation_w == 1 || s.kw == 1),
            .is_signed = args.x_signed,
            .zero_point = args.x_zero_point,
            .first_row = 0,
            .rows = 0,
            .a = nullptr,
            .a_stride = a_stride};
}

// Sum of (x - zx) of each row of A.
void sum_rows(const Plan& plan, const uint8_t* a, int64_t rows, int32_t* sums) {
  const int64_t k = plan.layout.k;
  const int32_t correction = plan.stored_zero_point() * static_cast<int32_t>(k);
  for (int64_t row = 0; row < rows; ++row) {
    const uint8_t* bytes = a + row * plan.a_stride;
    const int16_t* words = reinterpret_cast<const int16_t*>(bytes);
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += plan.kernel.element_bytes == 1 ? bytes[i] : words[i];
    sums[row] = sum - correction;
  }
}

PanelTask panel_task(const Plan& plan, int64_t unit, int64_t first_row) {
  const ConvInt8::Args& args = plan.args;
  const PackedLayout& layout = plan.layout;
  const int64_t cols = plan.kernel.panel_cols, panel = unit % layout.panels;
  const int64_t o = unit / layout.panels * layout.group_channels + panel * cols;
  const int64_t first = first_row * args.s.o + o,
                code_bytes = args.output == ConvOutput::code ? 1 : 4;
  const ChannelConstants& all = plan.channels;
  PanelTask task{};
  task.a_stride = plan.a_stride;
  task.w = static_cast<const uint8_t*>(args.packed) + layout.panels_offset +
           static_cast<size_t>(unit) * layout.panel_bytes;
  task.steps = layout.steps;
  task.channels = {all.offset + unit * cols, all.multiplier + unit * cols, all.bias + unit * cols,
                   all.w_zero_point ? all.w_zero_point + unit * cols : nullptr};
  task.cols = std::min(cols, layout.group_channels - panel * cols);
  task.y = static_cast<uint8_t*>(args.y) + first * code_bytes;
  task.residual = args.residual.q ? static_cast<const uint8_t*>(args.residual.q) + first : nullptr;
  task.y_stride = args.s.o;
  task.epilogue = &plan.epilogue;
  return task;
}

void run_task(const Plan& plan, int64_t row_task, int64_t unit_task) {
  const int64_t first_row = row_task * plan.row_chunk,
                rows = std::min(plan.row_chunk, plan.rows - first_row);
  const bool sums_needed = plan.args.w_zero_point != nullptr;
  const int64_t a_bytes = plan.direct ? 0 : rows * plan.a_stride + 64;
  Scratch scratch(static_cast<size_t>(a_bytes + rows * 4));
  uint8_t* gathered = scratch.as<uint8_t>() + rows * 4;
  int32_t* row_sums = scratch.as<int32_t>();
  int64_t group = -1;
  const int64_t end = std::min(plan.layout.units, (unit_task + 1) * plan.unit_chunk);
  for (int64_t unit = unit_task * plan.unit_chunk; unit < end; ++unit) {
    if (!plan.direct && unit / plan.layout.panels != group) {
      group = unit / plan.layout.panels;
      GatherTask gather = plan.gather;
      gather.x += group * gather.i;
      gather.first_row = first_row;
      gather.rows = rows;
      gather.a = gathered;
      plan.kernel.gather(gather);
      if (sums_needed) sum_rows(plan, gathered, rows, row_sums);
    }
    PanelTask task = panel_task(plan, unit, first_row);
    task.a = plan.direct ? static_cast<const uint8_t*>(plan.args.x) + first_row * plan.a_stride
                         : gathered;
    task.rows = rows;
    task.row_sums = sums_needed ? row_sums : nullptr;
    plan.kernel.panel(task);
  }
}

}  // namespace

RequantSteps requant_steps(const Requant& r) {
  return {r.inv_scale, static_cast<float>(r.lo - r.zero_point),
          static_cast<float>(r.hi - r.zero_point), r.zero_point};
}

TileEpilogue tile_epilogue(const ConvInt8::Args& args) {
  TileEpilogue e{};
  e.code = requant_steps(args.requant);
  e.sum = requant_steps(args.residual.sum);
  e.scale_q = args.residual.scale_q;
  e.residual_scale = args.residual.scale;
  e.residual_zero_point = args.residual.zero_point;
  e.residual_signed = args.residual.is_signed;
  switch (args.output) {
    case ConvOutput::acc:
      e.output = TileOutput::acc;
      break;
    case ConvOutput::real:
      e.output = TileOutput::real;
      break;
    case ConvOutput::code:
      e.output = args.residual.q ? TileOutput::residual : TileOutput::code;
      break;
  }
  return e;
}

void fill_channels(const ConvInt8::Args& args, int32_t x_zero_point, const int32_t* w_sums,
                   int64_t first, int64_t count, int32_t* offset, float* multiplier, float* bias,
                   int32_t* w_zero_point) {
  const bool scaled = args.output != ConvOutput::acc;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t o = first + i;
    offset[i] = static_cast<int32_t>((args.bias_s32 ? args.bias_s32[o] : 0) -
                                     int64_t{x_zero_point} * w_sums[i]);
    multiplier[i] = scaled ? args.multiplier[o] : 0.0F;
    bias[i] = scaled && args.bias ? args.bias[o] : -0.0F;
    if (w_zero_point) w_zero_point[i] = args.w_zero_point[o];
  }
}

// Padding is written as codes, so the zero point must be one.
bool gemm_supports(const ConvInt8::Args& args) {
  const int32_t low = args.x_signed ? -128 : 0;
  return !args.s.depthwise() && args.x_zero_point >= low && args.x_zero_point <= low + 255;
}

size_t gemm_packed_bytes(const GemmKernel& kernel, const ConvShape& s) {
  const PackedLayout layout(kernel, s);
  return layout.panels_offset + static_cast<size_t>(layout.units) * layout.panel_bytes;
}

void gemm_pack(const GemmKernel& kernel, const ConvShape& s, const int8_t* w, void* packed) {
  const PackedLayout layout(kernel, s);
  std::byte* bytes = static_cast<std::byte*>(packed);
  const int64_t cols = kernel.panel_cols,
                grain = std::max<int64_t>(1, (1 << 16) / (cols * layout.k));
  parallel_for(layout.units, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t panel = unit % layout.panels,
                    o = unit / layout.panels * layout.group_channels + panel * cols;
      const int64_t channels = std::min(cols, layout.group_channels - panel * cols);
      std::byte* target =
          bytes + layout.panels_offset + static_cast<size_t>(unit) * layout.panel_bytes;
      int32_t* sums = reinterpret_cast<int32_t*>(bytes) + unit * cols;
      if (channels < cols || layout.k * kernel.element_bytes < layout.steps * 4)
        std::memset(target, 0, layout.panel_bytes);
      std::fill_n(sums, cols, 0);
      if (kernel.element_bytes == 1)
        pack_panel(w + o * layout.k, channels, layout.k, cols, reinterpret_cast<int8_t*>(target),
                   sums);
      else
        pack_panel(w + o * layout.k, channels, layout.k, cols, reinterpret_cast<int16_t*>(target),
                   sums);
    }
  });
}

void gemm_run(const GemmKernel& kernel, const ConvInt8::Args& args) {
  Plan plan(kernel, args);
  if (plan.rows == 0) return;
  const PackedLayout& layout = plan.layout;
  const int64_t cols = kernel.panel_cols, padded = layout.units * cols;
  Scratch constants(static_cast<size_t>(padded * 16));
  std::memset(constants.as<std::byte>(), 0, static_cast<size_t>(padded * 16));
  int32_t* offset = constants.as<int32_t>();
  float* multiplier = constants.as<float>() + padded;
  float* bias = multiplier + padded;
  int32_t* w_zero_point = args.w_zero_point ? offset + 3 * padded : nullptr;
  const int32_t* sums = static_cast<const int32_t*>(args.packed);
  for (int64_t unit = 0; unit < layout.units; ++unit) {
    const int64_t at = unit * cols, panel = unit % layout.panels;
    fill_channels(args, plan.stored_zero_point(), sums + at,
                  unit / layout.panels * layout.group_channels + panel * cols,
                  std::min(cols, layout.group_channels - panel * cols), offset + at,
                  multiplier + at, bias + at, w_zero_point ? w_zero_point + at : nullptr);
  }
  plan.channels = {offset, multiplier, bias, w_zero_point};
  parallel_tasks(plan.row_tasks * plan.unit_tasks, [&](int64_t task) {
    run_task(plan, task / plan.unit_tasks, task % plan.unit_tasks);
  });
}

}  // namespace stair::kernels
