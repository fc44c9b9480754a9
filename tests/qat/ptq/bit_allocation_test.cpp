#include "qat/ptq/bit_allocation.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/error.h"
#include "core/random.h"

namespace stair::qat {
namespace {

std::vector<LayerChoices> random_layers(size_t count, uint64_t seed) {
  std::vector<LayerChoices> layers;
  Random random(seed);
  for (size_t i = 0; i < count; ++i) {
    const double weights = static_cast<double>(1 + random.bits() % 1000);
    const double sensitivity = random.uniform();
    layers.push_back({"layer" + std::to_string(i), {}});
    for (const int bits : {8, 4, 2})
      layers.back().choices.push_back(
          {bits, weights * bits, sensitivity / static_cast<double>(1 << (2 * bits))});
  }
  return layers;
}

struct Total {
  double cost = 0, noise = 0;
};

Total total_of(const std::vector<LayerChoices>& layers, const std::vector<size_t>& chosen) {
  Total total;
  for (size_t i = 0; i < layers.size(); ++i) {
    total.cost += layers[i].choices[chosen[i]].cost;
    total.noise += layers[i].choices[chosen[i]].noise;
  }
  return total;
}

double total_cost(const std::vector<LayerChoices>& layers, size_t choice) {
  return total_of(layers, std::vector<size_t>(layers.size(), choice)).cost;
}

// Tries all of them.
double least_noise(const std::vector<LayerChoices>& layers, double budget) {
  double least = std::numeric_limits<double>::infinity();
  std::vector<size_t> chosen(layers.size());
  while (true) {
    const Total total = total_of(layers, chosen);
    if (total.cost <= budget) least = std::min(least, total.noise);
    size_t i = 0;
    while (i < layers.size() && ++chosen[i] == layers[i].choices.size()) chosen[i++] = 0;
    if (i == layers.size()) return least;
  }
}

TEST(BitAllocationExact, IsTheBestOfAllChoices) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto layers = random_layers(7, seed);
    const double most = total_cost(layers, 0), least = total_cost(layers, 2);
    for (const double share : {0.0, 0.1, 0.35, 0.5, 0.8, 1.0}) {
      const double budget = least + share * (most - least);
      const Total total = total_of(layers, allocate_bits(layers, budget));
      EXPECT_LE(total.cost, budget);
      EXPECT_DOUBLE_EQ(total.noise, least_noise(layers, budget)) << seed << ", " << share;
    }
  }
}

// More layers than sets of them can be kept: the bound of the relaxed problem is nearly met.
TEST(BitAllocation, ManyLayersStayWithinTheBudgetAndNearTheBound) {
  const auto layers = random_layers(120, 3);
  const double most = total_cost(layers, 0), least = total_cost(layers, 2);
  double before = std::numeric_limits<double>::infinity();
  for (const double share : {0.2, 0.4, 0.6, 0.8}) {
    const double budget = least + share * (most - least);
    const Total total = total_of(layers, allocate_bits(layers, budget));
    EXPECT_LE(total.cost, budget);
    EXPECT_GT(total.cost, 0.99 * budget);
    EXPECT_LT(total.noise, before);
    before = total.noise;
    // Lagrange: min over choices of noise + price * cost, less price * budget, is a lower bound.
    double bound = 0;
    for (double price = 1e-12; price < 1; price *= 1.3) {
      double sum = -price * budget;
      for (const LayerChoices& layer : layers) {
        double best = std::numeric_limits<double>::infinity();
        for (const BitChoice& c : layer.choices) best = std::min(best, c.noise + price * c.cost);
        sum += best;
      }
      bound = std::max(bound, sum);
    }
    EXPECT_LT(total.noise, 1.3 * bound);
  }
}

TEST(BitAllocation, ALayerWithOneChoiceKeepsIt) {
  const std::vector<LayerChoices> layers = {{"first", {{8, 80, 0.1}}},
                                            {"other", {{8, 80, 0.1}, {4, 40, 0.2}}}};
  EXPECT_EQ(allocate_bits(layers, 120), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(allocate_bits(layers, 160), (std::vector<size_t>{0, 0}));
}

TEST(BitAllocationFault, TooSmallABudgetNamesTheLeast) {
  const std::vector<LayerChoices> layers = {{"a", {{8, 80, 0.1}, {2, 20, 9}}}};
  try {
    allocate_bits(layers, 19);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("take 20"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace stair::qat
