#include "kernels/conv_int8/int8_gemm.h"

#include <cstring>

#include "core/parallel.h"
#include "kernels/conv_int8/int8_rows.h"

namespace stair::kernels {
namespace {

struct Plan {
  const GemmKernel& kernel;
  const ConvInt8::Args args;
  const GemmLayout layout;
  RowSource rows;
  int64_t unit_chunk = 0, unit_tasks = 0;
  const TileEpilogue epilogue;
  std::shared_ptr<std::byte> constants;  // what `channels` points to
  ChannelConstants channels{};

  Plan(const GemmKernel& k, const ConvInt8::Args& a)
      : kernel(k), args(a), layout(k, a), rows(k, args, layout), epilogue(tile_epilogue(a)) {
    if (rows.rows() == 0) return;
    split();
    fill();
  }
  int32_t stored_zero_point() const {
    return args.x_zero_point + (args.x_signed && kernel.element_bytes == 1 ? 128 : 0);
  }
  void split();
  void fill();
};

// Rows of a task fill a part of the L2 cache; small problems are cut finer, first by rows, then by
// panels.
void Plan::split() {
  constexpr int64_t kCacheBytes = 256 << 10, kMaxBlocks = 16, kMinBlocks = 4, kTasks = 16,
                    kMinTaskMacs = 1 << 20;
  const int64_t block = kernel.row_block, all = rows.rows();
  const int64_t wanted = std::clamp<int64_t>(all * layout.k * args.s.o / kMinTaskMacs, 1, kTasks);
  int64_t blocks = std::clamp<int64_t>(kCacheBytes / (rows.row_bytes() * block), 1, kMaxBlocks);
  blocks = std::min(blocks, std::max(kMinBlocks, ceil_div(all, block * wanted)));
  rows.split(blocks * block);
  const int64_t unit_parts = std::min(layout.units, ceil_div(wanted, rows.tasks()));
  unit_chunk = ceil_div(layout.units, unit_parts);
  unit_tasks = ceil_div(layout.units, unit_chunk);
}

void Plan::fill() {
  const int64_t cols = kernel.panel_cols, padded = layout.units * cols;
  constants = allocate(static_cast<size_t>(padded * 16));
  std::memset(constants.get(), 0, static_cast<size_t>(padded * 16));
  int32_t* offset = reinterpret_cast<int32_t*>(constants.get());
  float* multiplier = reinterpret_cast<float*>(offset + padded);
  float* bias = multiplier + padded;
  int32_t* w_zero_point = args.w_zero_point ? offset + 3 * padded : nullptr;
  const int32_t* sums = static_cast<const int32_t*>(args.packed);
  for (int64_t unit = 0; unit < layout.units; ++unit) {
    const int64_t at = unit * cols, panel = unit % layout.panels;
    fill_channels(args, stored_zero_point(), sums + at,
                  unit / layout.panels * layout.group_channels + panel * cols,
                  std::min(cols, layout.group_channels - panel * cols), offset + at,
                  multiplier + at, bias + at, w_zero_point ? w_zero_point + at : nullptr);
  }
  channels = {offset, multiplier, bias, w_zero_point};
}

// Sum of (x - zx) of each row of A.
void sum_rows(const Plan& plan, const Piece& piece, int32_t* sums) {
  const bool words = plan.kernel.element_bytes == 2;
  const int32_t correction =
      plan.stored_zero_point() * static_cast<int32_t>(piece.runs * piece.run_codes);
  for (int64_t row = 0; row < piece.rows; ++row) {
    int32_t sum = -correction;
    for (int64_t run = 0; run < piece.runs; ++run) {
      const uint8_t* bytes = piece.a + row * piece.a_stride + run * piece.a_run;
      for (int64_t i = 0; i < piece.run_codes; ++i) {
        int16_t word = bytes[i];
        if (words) std::memcpy(&word, bytes + 2 * i, 2);
        sum += word;
      }
    }
    sums[row] = sum;
  }
}

PanelTask panel_task(const Plan& plan, int64_t unit) {
  const ConvInt8::Args& args = plan.args;
  const GemmLayout& layout = plan.layout;
  const int64_t cols = plan.kernel.panel_cols, panel = unit % layout.panels;
  const int64_t o = unit / layout.panels * layout.group_channels + panel * cols,
                code_bytes = args.output == ConvOutput::code ? 1 : 4;
  const ChannelConstants& all = plan.channels;
  PanelTask task{};
  task.w = static_cast<const uint8_t*>(args.packed) + layout.panels_offset +
           static_cast<size_t>(unit) * layout.panel_bytes;
  task.channels = {all.offset + unit * cols, all.multiplier + unit * cols, all.bias + unit * cols,
                   all.w_zero_point ? all.w_zero_point + unit * cols : nullptr};
  task.cols = std::min(cols, layout.group_channels - panel * cols);
  task.y = static_cast<uint8_t*>(args.y) + o * code_bytes;
  task.residual = args.residual.q ? static_cast<const uint8_t*>(args.residual.q) + o : nullptr;
  task.epilogue = &plan.epilogue;
  return task;
}

// `before`: pixels of the part's tasks before this one. Returns those with this one.
int64_t run_task(const Plan& plan, int64_t row_task, int64_t unit_task, TaskMoments& moments,
                 int64_t part, int64_t before) {
  const bool sums_needed = plan.args.w_zero_point != nullptr;
  const auto most = static_cast<size_t>(ceil_div(plan.rows.most_rows(), 16) * 16);
  const size_t panel_bytes = plan.layout.blocks > 0 ? plan.layout.panel_codes : 0;
  const int64_t cols = plan.kernel.panel_cols;
  const size_t moment_bytes =
      moments.wanted() ? sizeof(float) * static_cast<size_t>(GatheredMoments::kArrays * cols) : 0;
  Scratch scratch(moment_bytes + panel_bytes + most * 12 + plan.rows.scratch_bytes());
  uint8_t* panel = scratch.as<uint8_t>() + moment_bytes;
  int64_t* at = reinterpret_cast<int64_t*>(panel + panel_bytes);
  int32_t* row_sums = reinterpret_cast<int32_t*>(at + most);
  uint8_t* a = reinterpret_cast<uint8_t*>(row_sums + most);
  const int64_t pixels = plan.rows.outputs(row_task, at);
  RowSource::Pieces pieces;
  int64_t group = -1;
  const int64_t end = std::min(plan.layout.units, (unit_task + 1) * plan.unit_chunk);
  for (int64_t unit = unit_task * plan.unit_chunk; unit < end; ++unit) {
    if (unit / plan.layout.panels != group) {
      group = unit / plan.layout.panels;
      pieces = plan.rows.gather(row_task, group, a);
      for (int64_t i = 0; sums_needed && i < pieces.count; ++i)
        sum_rows(plan, pieces[i], row_sums + pieces[i].first);
    }
    PanelTask unit_task_of = panel_task(plan, unit);
    if (plan.layout.blocks > 0) {
      plan.kernel.unpack(unit_task_of.w, plan.layout.blocks, plan.args.w_bits, panel);
      unit_task_of.w = panel;
    }
    unit_task_of.moments = {scratch.as<float>(), cols, true};
    for (int64_t i = 0; i < pieces.count; ++i) {
      const Piece& piece = pieces[i];
      PanelTask task = unit_task_of;
      task.a = piece.a;
      task.a_stride = piece.a_stride;
      task.rows = piece.rows;
      task.row_sums = sums_needed ? row_sums + piece.first : nullptr;
      task.w += piece.w_offset;
      task.runs = piece.runs;
      task.steps = piece.steps;
      task.a_run = piece.a_run;
      task.w_run = piece.w_run;
      task.first_skips = piece.first_skips;
      task.last_skips = piece.last_skips;
      task.at = at + piece.first;
      plan.kernel.panel(task);
      if (piece.rows > 0) unit_task_of.moments.fresh = false;
    }
    if (moments.wanted())
      moments.add(
          part, before, pixels,
          unit / plan.layout.panels * plan.layout.group_channels + unit % plan.layout.panels * cols,
          unit_task_of.cols, unit_task_of.moments);
  }
  return before + pixels;
}

}  // namespace

std::function<void()> gemm_bind(const GemmKernel& kernel, const ConvInt8::Args& args) {
  return [plan = std::make_shared<const Plan>(kernel, args)] {
    TaskMoments moments(plan->args.moments, plan->args.s.o, plan->rows.tasks());
    parallel_tasks(moments.parts() * plan->unit_tasks, [&](int64_t task) {
      const int64_t part = task / plan->unit_tasks;
      int64_t pixels = 0;
      for (int64_t row = moments.first_task(part); row < moments.first_task(part + 1); ++row)
        pixels = run_task(*plan, row, task % plan->unit_tasks, moments, part, pixels);
    });
    if (moments.wanted()) moments.combine();
  };
}

}  // namespace stair::kernels
