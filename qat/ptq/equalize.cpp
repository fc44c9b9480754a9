#include "qat/ptq/equalize.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "qat/observer.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

// Two layers; `activation` between them or -1.
struct Pair {
  int first, activation, second;
};

std::vector<Pair> pairs_of(Graph& graph) {
  std::vector<Pair> pairs;
  for (int first : weighted_nodes(graph)) {
    int next = only_reader(graph, first), activation = -1;
    if (next >= 0 && (graph.node(next).op == "relu" || graph.node(next).op == "relu6")) {
      activation = next;
      next = only_reader(graph, next);
    }
    if (next < 0 || (graph.node(next).op != "conv2d" && graph.node(next).op != "linear")) continue;
    const WeightView second = weights_of(graph, next);
    const bool depthwise = second.inputs == 1 && second.groups == second.outputs;
    if (second.groups == 1 || depthwise) pairs.push_back({first, activation, next});
  }
  return pairs;
}

// Calls f with each weight of a layer that reads input channel i.
template <class F>
void for_readers(const WeightView& w, int64_t i, const F& f) {
  if (w.groups > 1) {
    for (int64_t tap = 0; tap < w.taps; ++tap) f(i, w.at(i, tap, 0));
    return;
  }
  for (int64_t o = 0; o < w.outputs; ++o)
    for (int64_t tap = 0; tap < w.taps; ++tap) f(o, w.at(o, tap, i));
}

// The largest magnitude of each channel between the layers, before a ReLU6, and
// what it may be: that of the tensor as it came, or 6.
struct Reach {
  std::vector<double> channel;
  double most = 0;
};

void equalize_pair(Graph& graph, const Pair& pair, Reach& reach) {
  const WeightView first = weights_of(graph, pair.first), second = weights_of(graph, pair.second);
  const Tensor bias = bias_of(graph, pair.first);
  const int64_t inner = first.taps * first.inputs;
  for (int64_t i = 0; i < first.outputs; ++i) {
    double r1 = 0, r2 = 0;
    for (int64_t k = i * inner; k < (i + 1) * inner; ++k)
      r1 = std::max<double>(r1, std::abs(first.w[k]));
    for_readers(second, i, [&](int64_t, float& w) { r2 = std::max<double>(r2, std::abs(w)); });
    double& largest = reach.channel[static_cast<size_t>(i)];
    const float constant = bias.defined() ? bias.data<float>()[i] : 0;
    if (r1 == 0 && (constant == 0 || (pair.activation >= 0 && constant <= 0)))
      for_readers(second, i, [](int64_t, float& w) { w = 0; });  // they only ever read zero
    if (r2 == 0)
      std::fill(first.w + i * inner, first.w + (i + 1) * inner, 0.0F);  // nobody reads it
    if (r1 == 0 || r2 == 0 || largest > reach.most || reach.most == 0) continue;
    const double s = std::max(std::sqrt(r1 / r2), largest / reach.most);
    for (int64_t k = i * inner; k < (i + 1) * inner; ++k)
      first.w[k] = static_cast<float>(first.w[k] / s);
    if (bias.defined()) bias.data<float>()[i] = static_cast<float>(bias.data<float>()[i] / s);
    for_readers(second, i, [&](int64_t, float& w) { w = static_cast<float>(w * s); });
    largest /= s;
  }
}

// By the first layer of the pair.
std::map<int, Reach> reaches_of(const Graph& graph, const std::vector<Pair>& pairs,
                                const Batches& batches) {
  std::map<int, Reach> reaches;
  std::set<int> rectifies;  // layers with a ReLU behind them
  for (const Pair& pair : pairs) {
    const bool clips = pair.activation >= 0 && graph.node(pair.activation).op == "relu6";
    reaches[pair.first].most = clips ? 6 : 0;
    if (pair.activation >= 0) rectifies.insert(pair.first);
  }
  nn::GraphModule model(graph);
  model.eval();
  model.set_observer([&](const Node& node, const autograd::Variable& value) {
    const auto found = reaches.find(node.id);
    if (found == reaches.end()) return;
    const Range range = range_of(value.value(), value.shape().rank() - 1);
    found->second.channel.resize(range.min.size());
    for (size_t c = 0; c < range.min.size(); ++c) {
      double& largest = found->second.channel[c];
      const bool rectified = rectifies.contains(node.id);
      largest = std::max<double>({largest, rectified ? 0 : -range.min[c], range.max[c]});
    }
  });
  const autograd::NoGrad no_grad;
  batches([&](const Tensor& pictures) { (void)model(autograd::Variable(pictures)); });
  for (auto& [id, reach] : reaches)
    if (reach.most == 0)
      for (double largest : reach.channel) reach.most = std::max(reach.most, largest);
  return reaches;
}

bool padded(const Graph& graph, int id) {
  const Node& node = graph.node(id);
  if (node.op != "conv2d") return false;
  const auto& padding = node.attributes.get<std::vector<int64_t>>("padding");
  return std::any_of(padding.begin(), padding.end(), [](int64_t p) { return p != 0; });
}

// How many channels of the pair moved.
int absorb(Graph& graph, const Pair& pair, const Moments& m) {
  const WeightView second = weights_of(graph, pair.second);
  const Tensor from = bias_of(graph, pair.first), to = bias_of(graph, pair.second);
  int absorbed = 0;
  for (size_t i = 0; i < m.sum.size(); ++i) {
    const double c = m.mean(i) - 3 * std::sqrt(m.variance(i));
    if (!(c > 0)) continue;
    const int64_t channel = static_cast<int64_t>(i);
    from.data<float>()[channel] -= static_cast<float>(c);
    for_readers(second, channel,
                [&](int64_t o, float& w) { to.data<float>()[o] += static_cast<float>(w * c); });
    ++absorbed;
  }
  return absorbed;
}

}  // namespace

EqualizeReport equalize(Graph& folded, const Batches& batches) {
  constexpr int kRounds = 40;
  EqualizeReport report;
  const std::vector<Pair> pairs = pairs_of(folded);
  report.pairs = static_cast<int>(pairs.size());
  std::map<int, Reach> reaches = reaches_of(folded, pairs, batches);
  for (int round = 0; round < kRounds; ++round)
    for (const Pair& pair : pairs) equalize_pair(folded, pair, reaches.at(pair.first));
  for (const auto& [id, reach] : reaches)
    report.channels += static_cast<int>(std::count_if(reach.channel.begin(), reach.channel.end(),
                                                      [&](double v) { return v <= reach.most; }));
  return report;
}

EqualizeReport absorb_high_biases(Graph& folded, const Batches& batches) {
  EqualizeReport report;
  std::map<int, Moments> moments;
  std::vector<Pair> pairs;
  for (const Pair& pair : pairs_of(folded)) {
    const bool has_biases =
        bias_of(folded, pair.first).defined() && bias_of(folded, pair.second).defined();
    if (pair.activation < 0 || folded.node(pair.activation).op != "relu" || !has_biases ||
        padded(folded, pair.second))
      continue;
    pairs.push_back(pair);
    moments[pair.first];
  }
  nn::GraphModule model(folded);
  model.eval();
  model.set_observer([&](const Node& node, const autograd::Variable& value) {
    if (const auto found = moments.find(node.id); found != moments.end())
      found->second.add(value.value());
  });
  const autograd::NoGrad no_grad;
  batches([&](const Tensor& pictures) { (void)model(autograd::Variable(pictures)); });
  for (const Pair& pair : pairs) {
    ++report.pairs;
    report.channels += absorb(folded, pair, moments.at(pair.first));
  }
  return report;
}

}  // namespace stair::qat
