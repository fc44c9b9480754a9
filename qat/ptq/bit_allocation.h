// Which layer gets how many bits under a budget.
#pragma once

#include <string>
#include <vector>

namespace stair::qat {

struct BitChoice {
  int bits;
  double cost;   // of the budget's unit, not negative
  double noise;  // that it adds to the output
};

struct LayerChoices {
  std::string layer;
  std::vector<BitChoice> choices;
};

// Indices of the choices, one a layer, whose noises have the least sum while their costs stay
// within the budget: a multiple-choice knapsack, solved by dynamic programming over the sets of
// layers before that are not dominated (less cost and no more noise). Exact while there are at most
// 20000 of them; beyond, those of nearly equal cost are thinned to the best, and the budget still
// holds. Noises of layers are taken as independent. Throws ConfigError with the least cost when
// nothing fits.
std::vector<size_t> allocate_bits(const std::vector<LayerChoices>& layers, double budget);

}  // namespace stair::qat
