#include "apps/bench/layers.h"

#include <algorithm>
#include <chrono>

#include "apps/program/report.h"
#include "autograd/profile.h"
#include "qat/conv_bn.h"
#include "qat/int8/plan.h"

namespace stair::apps {
namespace {

double elements(const Shape& shape, int64_t batch) {
  double count = 1;
  for (int64_t dim : shape.dims()) count *= static_cast<double>(dim == nn::kBatch ? batch : dim);
  return count;
}

bool is_weighted(const nn::Node& node) {
  return node.op == "conv2d" || node.op == "linear" ||
         dynamic_cast<const qat::QatConv*>(node.module.get()) != nullptr;
}

// Operations or bytes a second in thousand millions, and their share of the peak.
struct Rate {
  double giga = 0, share = 0;
};
Rate rate_of(double amount, double seconds, double peak) {
  if (!(amount > 0) || !(seconds > 0)) return {};
  const double rate = amount / seconds;
  return {1e-9 * rate, peak > 0 ? rate / peak : 0};
}

Rate forward_rate(const LayerRow& row, const Peaks& peaks) {
  if (row.work.operations == 0) return rate_of(row.work.bytes, row.forward_s, peaks.memory);
  return rate_of(row.work.operations, row.forward_s, row.work.integer ? peaks.int8 : peaks.f32);
}
Rate backward_rate(const LayerRow& row, const Peaks& peaks) {
  return rate_of(row.work.backward_operations, row.backward_s, peaks.f32);
}

std::string padded(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string cells(double seconds, const Rate& rate, const char* unit) {
  return padded(fixed(1e3 * seconds, 2), 9) +
         (rate.giga > 0
              ? padded(fixed(rate.giga, 1), 8) + unit + padded(fixed(100 * rate.share, 0), 4) + " %"
              : std::string(20, ' '));
}

std::string line(std::string name, const std::string& rest) {
  constexpr size_t kName = 40;
  name.resize(kName, ' ');
  return str("  ", name, rest, '\n');
}

}  // namespace

std::vector<LayerWork> work_of(const nn::Graph& graph, int64_t batch) {
  std::vector<LayerWork> work;
  bool first = true;
  for (const nn::Node& node : graph.nodes()) {
    work.resize(std::max(work.size(), static_cast<size_t>(node.id) + 1));
    LayerWork& w = work[static_cast<size_t>(node.id)];
    w.name = node.operation() ? node.name : "";
    if (!is_weighted(node)) continue;
    const Shape& weight = graph.node(node.inputs[1]).shape;
    w.operations =
        2 * elements(node.shape, batch) * elements(weight, 1) / static_cast<double>(weight[0]);
    // Nobody asks for the gradient of the pictures.
    w.backward_operations = (first ? 1 : 2) * w.operations;
    w.integer = node.op == "module";
    first = false;
  }
  return work;
}

std::vector<LayerWork> work_of(const qat::Int8Graph& graph, const Shape& input) {
  const qat::Int8Plan plan = qat::make_plan(graph, input);
  std::vector<LayerWork> work(graph.nodes.size());
  const auto bytes = [&](int node) {
    return static_cast<double>(qat::value_bytes(graph, plan, node));
  };
  for (const qat::Int8Step& step : plan.steps) {
    const qat::Int8Node& node = graph.nodes[static_cast<size_t>(step.node)];
    LayerWork& w = work[static_cast<size_t>(step.node)];
    w.name = node.name;
    w.integer = true;
    w.bytes = bytes(step.output);
    for (int from : node.inputs) w.bytes += bytes(from);
    if (node.op == "conv")
      w.operations = 2 * elements(plan.shapes[static_cast<size_t>(step.node)], 1) *
                     elements(node.weight_shape(), 1) / static_cast<double>(node.weight_shape()[0]);
  }
  return work;
}

LayerTable time_layers(std::vector<LayerWork> work, int64_t calls,
                       const std::function<void()>& call) {
  const auto start = std::chrono::steady_clock::now();
  const autograd::Profile profile(work.size());
  for (int64_t i = 0; i < calls; ++i) call();
  const double n = static_cast<double>(calls);
  LayerTable table;
  table.rest_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / n;
  for (size_t i = 0; i < work.size(); ++i) {
    const autograd::Profile::Layer& layer = profile.layers()[i];
    if (work[i].bytes == 0) work[i].bytes = static_cast<double>(layer.bytes) / n;
    if (layer.forward_s + layer.backward_s == 0) continue;
    table.rows.push_back({std::move(work[i]), layer.forward_s / n, layer.backward_s / n});
    table.rest_s -= table.rows.back().forward_s + table.rows.back().backward_s;
  }
  return table;
}

std::string to_string(const LayerTable& table, const Peaks& peaks) {
  double whole = table.rest_s, small = 0;
  for (const LayerRow& row : table.rows) whole += row.forward_s + row.backward_s;
  std::string text =
      line("layer, times in ms", "  forward    rate, of peak     backward    rate, of peak");
  for (const LayerRow& row : table.rows) {
    if (row.forward_s + row.backward_s < whole / 200) {
      small += row.forward_s + row.backward_s;
      continue;
    }
    const char* unit = row.work.operations == 0 ? " GB/s" : row.work.integer ? " GOP " : " GFLOP";
    text += line(
        row.work.name,
        cells(row.forward_s, forward_rate(row, peaks), unit) +
            (row.backward_s > 0 ? cells(row.backward_s, backward_rate(row, peaks), " GFLOP") : ""));
  }
  text += line("layers below 0.5 % each", cells(small, {}, ""));
  text += line("outside the layers", cells(table.rest_s, {}, ""));
  return text + line("whole call", cells(whole, {}, ""));
}

Json to_json(const LayerTable& table, const Peaks& peaks) {
  Json list = Json::array();
  for (const LayerRow& row : table.rows) {
    const Rate forward = forward_rate(row, peaks), backward = backward_rate(row, peaks);
    Json j = Json::object();
    j.set("name", row.work.name);
    j.set("forward_ms", 1e3 * row.forward_s);
    j.set("backward_ms", 1e3 * row.backward_s);
    j.set("rate_of", row.work.operations == 0 ? "bytes" : "operations");
    j.set("forward_giga_per_second", forward.giga);
    j.set("forward_share_of_peak", forward.share);
    j.set("backward_giga_per_second", backward.giga);
    j.set("backward_share_of_peak", backward.share);
    list.push_back(std::move(j));
  }
  return list;
}

}  // namespace stair::apps
