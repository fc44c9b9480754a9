#include "qat/int8/slice.h"

#include <atomic>
#include <cstring>

#include "core/parallel.h"
#include "qat/int8/float_node.h"

namespace stair::qat {
namespace {

// A thread that is done with its pictures waits for the others: at most an eighth of the time.
bool fills_threads(int64_t pictures, int64_t threads) {
  return pictures % threads == 0 || pictures >= 8 * threads;
}

}  // namespace

bool sees_whole_batch(const Int8Node& node) {
  return node.op == "float" || node.op == kDynamicLinear;
}

size_t steps_by_picture(const Int8Graph& graph, const Int8Plan& one) {
  constexpr size_t kCoreBytes = size_t{4} << 20;  // what values may take of a core's caches
  const auto values = [&](const Int8Step& step) {
    size_t bytes = value_bytes(graph, one, step.output);
    for (int from : graph.nodes[static_cast<size_t>(step.node)].inputs)
      bytes += value_bytes(graph, one, from);
    return bytes + (step.residual < 0 ? 0 : value_bytes(graph, one, step.residual));
  };
  // Relative to running all steps layer by layer.
  int64_t traffic = 0, least = 0;
  size_t best = 0;
  for (size_t i = 0; i < one.steps.size(); ++i) {
    const Int8Node& node = graph.nodes[static_cast<size_t>(one.steps[i].node)];
    if (sees_whole_batch(node) || values(one.steps[i]) > kCoreBytes) break;
    traffic += node.weight.defined() ? static_cast<int64_t>(node.weight.bytes()) : 0;
    traffic -= static_cast<int64_t>(values(one.steps[i]));
    if (traffic < least) {
      least = traffic;
      best = i + 1;
    }
  }
  return best;
}

Int8Slice::Int8Slice(const Int8Graph& graph, const std::vector<Int8Conv>& convs, const Shape& input,
                     bool fuse_residual, size_t by_picture)
    : pictures_(input[0]), elements_(static_cast<size_t>(with_batch(input, 1).numel())) {
  const int threads = num_threads();
  if (!fills_threads(pictures_, threads)) by_picture = 0;
  const auto program = [&](int64_t pictures, size_t first, size_t last) {
    return std::make_unique<Int8Program>(
        graph, convs, with_batch(input, pictures),
        PlanOptions{.fuse_residual = fuse_residual, .first = first, .last = last});
  };
  for (int i = 0; by_picture > 0 && i < threads; ++i)
    by_picture_.push_back(program(1, 0, by_picture));
  by_layer_ = program(pictures_, by_picture, SIZE_MAX);
}

void Int8Slice::run(const Int8Input& input) const {
  std::atomic<int64_t> next{0};
  parallel_tasks(static_cast<int64_t>(by_picture_.size()), [&](int64_t thread) {
    const SerialLoops serial;
    const Int8Program& own = *by_picture_[static_cast<size_t>(thread)];
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < pictures_;) {
      own.run(input.behind(static_cast<size_t>(i) * elements_));
      for (int node : own.plan().outputs) {
        const size_t bytes = own.value_bytes(node);
        std::memcpy(by_layer_->value(node) + static_cast<size_t>(i) * bytes, own.value(node),
                    bytes);
      }
    }
  });
  by_layer_->run(input);
}

}  // namespace stair::qat
