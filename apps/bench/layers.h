// Where the time of a step goes: a row a layer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/bench/peaks.h"
#include "core/json.h"
#include "nn/graph/graph.h"
#include "qat/int8/graph.h"

namespace stair::apps {

// What a layer does in one call.
struct LayerWork {
  std::string name;
  double operations = 0;  // of the forward; 0: it only moves memory
  double backward_operations = 0;
  bool integer = false;  // the forward computes on codes
  double bytes = 0;      // that the forward reads and writes; 0: taken from the profile
};

struct LayerRow {
  LayerWork work;
  double forward_s = 0, backward_s = 0;
};

struct LayerTable {
  std::vector<LayerRow> rows;
  double rest_s = 0;  // of the call, outside the layers: loss, optimizer, sums of gradients
};

// One entry a node, by its number; without a name where nothing runs.
std::vector<LayerWork> work_of(const nn::Graph& graph, int64_t batch);
std::vector<LayerWork> work_of(const qat::Int8Graph& graph, const Shape& input);

// Calls `call` a few times under a profile; times are means.
LayerTable time_layers(std::vector<LayerWork> work, int64_t calls,
                       const std::function<void()>& call);

// Layers slower than a two-hundredth of the call, and the sum of the others. Shares are of the
// measured peaks: multiply-adds of f32 or int8, or memory for layers without any.
std::string to_string(const LayerTable& table, const Peaks& peaks);
Json to_json(const LayerTable& table, const Peaks& peaks);

}  // namespace stair::apps
