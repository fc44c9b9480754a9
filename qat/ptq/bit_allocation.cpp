#include "qat/ptq/bit_allocation.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace stair::qat {
namespace {

constexpr size_t kMostStates = 20000;

// A choice for each of the first layers.
struct State {
  double cost = 0, noise = 0;
  size_t parent = 0, choice = 0;  // state of one layer less, and the last layer's choice
};

double least_cost(const LayerChoices& layer) {
  double least = layer.choices.at(0).cost;
  for (const BitChoice& c : layer.choices) least = std::min(least, c.cost);
  return least;
}

// Leaves those with less noise than every cheaper one.
std::vector<State> undominated(std::vector<State> states) {
  std::sort(states.begin(), states.end(), [](const State& a, const State& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.noise < b.noise;
  });
  std::vector<State> kept;
  for (const State& s : states)
    if (kept.empty() || s.noise < kept.back().noise) kept.push_back(s);
  return kept;
}

// Of each of kMostStates equal steps of cost the state with the least noise.
std::vector<State> thinned(const std::vector<State>& states, double budget) {
  if (states.size() <= kMostStates) return states;
  const auto step = [&](const State& s) {
    return std::floor(s.cost / budget * static_cast<double>(kMostStates));
  };
  std::vector<State> kept;
  for (size_t i = 0; i < states.size(); ++i)
    if (i + 1 == states.size() || step(states[i]) != step(states[i + 1])) kept.push_back(states[i]);
  return kept;
}

}  // namespace

std::vector<size_t> allocate_bits(const std::vector<LayerChoices>& layers, double budget) {
  double rest = 0;  // what the layers behind take at least
  for (const LayerChoices& layer : layers) rest += least_cost(layer);
  if (rest > budget)
    throw ConfigError(
        str("bit allocation: the fewest bits take ", rest, " of the budget's ", budget),
        "raise the budget, or leave fewer layers at 8 bits");
  std::vector<std::vector<State>> stages = {{State{}}};
  for (const LayerChoices& layer : layers) {
    rest -= least_cost(layer);
    std::vector<State> next;
    for (size_t parent = 0; parent < stages.back().size(); ++parent)
      for (size_t choice = 0; choice < layer.choices.size(); ++choice) {
        const State& before = stages.back()[parent];
        const BitChoice& c = layer.choices[choice];
        const double cost = before.cost + c.cost;
        if (cost + rest <= budget * (1 + 1e-12))
          next.push_back({cost, before.noise + c.noise, parent, choice});
      }
    stages.push_back(thinned(undominated(std::move(next)), budget));
  }
  std::vector<size_t> chosen(layers.size());
  size_t at = stages.back().size() - 1;
  for (size_t i = layers.size(); i > 0; --i) {
    chosen[i - 1] = stages[i][at].choice;
    at = stages[i][at].parent;
  }
  return chosen;
}

}  // namespace stair::qat
