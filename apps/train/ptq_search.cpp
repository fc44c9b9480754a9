#include "apps/train/ptq_search.h"

#include <algorithm>
#include <array>

#include "apps/program/numbers.h"
#include "apps/program/report.h"
#include "core/file.h"
#include "core/packed_codes.h"
#include "qat/ptq/bit_allocation.h"

namespace stair::apps {
namespace {

using qat::Alone;
using qat::BitChoice;
using qat::LayerChoices;
using qat::LayerSensitivity;

constexpr std::array kBits = {8, 4, 2};
// A section of an int8 file begins at a multiple of so many bytes.
constexpr size_t kPadding = 64;
constexpr double kMillion = 1e6, kBillion = 1e9;

uint64_t weight_bytes(const LayerSensitivity& layer, int bits) {
  return static_cast<uint64_t>(layer.outputs * packed_bytes(layer.weights / layer.outputs, bits));
}

class Search {
 public:
  Search(const PtqSearchConfig& config, int wbits, bool first_last_8_bits, const PtqHooks& hooks)
      : config_(config), wbits_(wbits), first_last_8_bits_(first_last_8_bits), hooks_(hooks) {}

  // The first batches of calibration.
  std::vector<LayerSensitivity> measure(const LayerConfig& layers, int wbits, Alone alone) const {
    const auto model = hooks_.quantize(layers, wbits);
    return qat::sensitivities(*model, hooks_.batches, alone);
  }

  // Bits that make the sum of noises least under the budget.
  void allocate(LayerConfig& layers) const {
    std::vector<LayerChoices> choices;
    uint64_t fewest = 0;  // bytes of weights with the fewest bits
    std::unique_ptr<nn::GraphModule> model;
    for (const int bits : kBits) {
      model = hooks_.quantize(with_bits_for_all(layers, bits), bits);
      const auto found = qat::sensitivities(*model, hooks_.batches, Alone::weights);
      choices.resize(found.size());
      fewest = 0;
      for (size_t i = 0; i < found.size(); ++i) {
        fewest += weight_bytes(found[i], bits);
        choices[i].layer = found[i].layer;
        const bool keeps_8 = first_last_8_bits_ && (i == 0 || i + 1 == found.size());
        if (bits == 8 || !keeps_8)
          choices[i].choices.push_back({bits, cost(found[i], bits), found[i].noise});
      }
    }
    double budget = 0;
    if (config_.budget_mb) {
      // Beside the weights: scales, biases, the graph; sections are padded.
      const uint64_t beside = hooks_.file_bytes(*model) - fewest;
      budget = *config_.budget_mb * kMillion - static_cast<double>(beside) -
               static_cast<double>(choices.size() * kPadding);
    } else {
      budget = *config_.budget_gbops * kBillion;
    }
    take(choices, qat::allocate_bits(choices, budget), layers);
  }

  // Layers go back to float, those first without whose integers the network is nearest to float.
  // Finds how many by doubling, then halving.
  void fall_back(PtqSearchResult& result) const {
    const double float_top1 = hooks_.float_top1();
    double drop = drop_with(result.layers, float_top1, 0);
    if (drop <= *config_.max_drop) return;
    std::vector<LayerSensitivity> order = measure(result.layers, wbits_, Alone::all_but_one);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.noise < b.noise; });
    const auto without = [&](size_t count) {
      LayerConfig layers = result.layers;
      for (size_t i = 0; i < count; ++i) layers.exclude.push_back(order[i].layer);
      return layers;
    };
    size_t fails = 0, meets = 0;
    for (size_t count = 1; meets == 0; count = std::min(2 * count, order.size())) {
      drop = drop_with(without(count), float_top1, count);
      if (drop <= *config_.max_drop)
        meets = count;
      else if (count == order.size())
        throw Error(
            str("with all ", count, " layers float int8 top-1 is still ", fixed(drop, 2),
                " below float, more than --max-drop ", fixed(*config_.max_drop, 2)),
            "the operations between them cost it: more --calib-batches or another --observer", 9);
      else
        fails = count;
    }
    while (meets - fails > 1) {
      const size_t count = (fails + meets) / 2;
      (drop_with(without(count), float_top1, count) <= *config_.max_drop ? meets : fails) = count;
    }
    for (size_t i = 0; i < meets; ++i) result.float_layers.push_back(order[i].layer);
    result.layers = without(meets);
  }

 private:
  // The bits of the search take the place of the network's first and last 8.
  LayerConfig with_bits_for_all(const LayerConfig& layers, int bits) const {
    LayerConfig all = layers;
    for (const char* type : {"conv2d", "linear"}) all.wbits.push_back(str(type, "=", bits));
    return all;
  }

  double cost(const LayerSensitivity& layer, int bits) const {
    return config_.budget_mb ? static_cast<double>(weight_bytes(layer, bits))
                             : static_cast<double>(layer.macs) * bits * layer.input_bits;
  }

  void take(const std::vector<LayerChoices>& choices, const std::vector<size_t>& chosen,
            LayerConfig& layers) const {
    double total = 0;
    std::array<int, 9> count{};
    for (size_t i = 0; i < choices.size(); ++i) {
      const BitChoice& c = choices[i].choices[chosen[i]];
      layers.wbits.push_back(str(choices[i].layer, "=", c.bits));
      total += c.cost;
      ++count[static_cast<size_t>(c.bits)];
    }
    hooks_.say(str("bits of weights: 8 in ", count[8], " layers, 4 in ", count[4], ", 2 in ",
                   count[2], "; ",
                   config_.budget_mb ? fixed(total / kMillion, 3) + " MB of weights"
                                     : fixed(total / kBillion, 3) + " GBOPs a picture"));
  }

  double drop_with(const LayerConfig& layers, double float_top1, size_t count) const {
    const double top1 = hooks_.int8_top1(*hooks_.quantize(layers, wbits_));
    hooks_.say(str(count, " layers float: int8 top-1 ", fixed(top1, 2), ", ",
                   fixed(float_top1 - top1, 2), " below float"));
    return float_top1 - top1;
  }

  const PtqSearchConfig& config_;
  int wbits_;
  bool first_last_8_bits_;
  const PtqHooks& hooks_;
};

std::string toml_list(const char* key, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string text = str(key, " = [");
  for (const std::string& item : items) text += str("\n  ", toml_text(item), ",");
  return text + "\n]\n";
}

}  // namespace

void add_search_flags(Options& options, PtqSearchConfig& c) {
  options.group("Search");
  options.choice("--sensitivity", c.sensitivity, {"one-on", "all-but-one"},
                 {.help = "table: the network's output with each layer alone on integers, or with "
                          "each alone float",
                  .usual = true});
  options.integer("--sensitivity-batches", c.sensitivity_batches, {.min = 1, .max = 1000000},
                  {.help = "calibration batches that sensitivities and bits are found on"});
  options.real("--max-drop", c.max_drop, {.min = 0, .max = 100},
               {.help = "layers go back to float until top-1 is at most so much below float",
                .unit = "percent",
                .usual = true});
  options.real("--budget-mb", c.budget_mb, {.min = 0, .above_min = true},
               {.help = "weights of 8, 4 or 2 bits, by layer, so that the int8 file fits",
                .unit = "10^6 bytes",
                .usual = true});
  options.real("--budget-gbops", c.budget_gbops, {.min = 0, .above_min = true},
               {.help = "the same, so that multiplications x weight bits x input bits fit",
                .unit = "10^9 a picture"});
  options.text(
      "--layers-output", c.layers_output,
      {.help = "what was found, for --config (default: beside the int8 file)", .value = "FILE"});
  for (const char* flag : {"--budget-mb", "--budget-gbops", "--max-drop"})
    for (const char* file : {"--qconfig-mapping", "--backend-config"})
      options.contradiction(flag, file, "the search sets --exclude and --layer-wbits");
  const char* why = "the search chooses the bits";
  options.contradiction("--budget-mb", "--budget-gbops", "one budget at a time");
  for (const char* budget : {"--budget-mb", "--budget-gbops"})
    for (const char* bits : {"--layer-wbits", "--wbits"}) options.contradiction(budget, bits, why);
}

bool wants_search(const PtqSearchConfig& c) {
  return !c.sensitivity.empty() || c.budget_mb || c.budget_gbops || c.max_drop;
}

PtqSearchResult search(const PtqSearchConfig& config, const LayerConfig& layers, int wbits,
                       bool first_last_8_bits, const PtqHooks& hooks) {
  const Search search(config, wbits, first_last_8_bits, hooks);
  PtqSearchResult result;
  result.layers = layers;
  if (config.budget_mb || config.budget_gbops) search.allocate(result.layers);
  if (!config.sensitivity.empty()) {
    const bool alone = config.sensitivity == "one-on";
    result.sensitivity =
        search.measure(result.layers, wbits, alone ? Alone::layer : Alone::all_but_one);
    std::stable_sort(result.sensitivity.begin(), result.sensitivity.end(),
                     [&](const auto& a, const auto& b) {
                       return alone ? a.noise > b.noise : a.noise < b.noise;
                     });
  }
  if (config.max_drop) search.fall_back(result);
  if (config.budget_mb || config.budget_gbops || config.max_drop) {
    make_folders(folder_of(config.layers_output));
    write_file(config.layers_output, std::string_view(to_toml(result.layers)));
    hooks.say(str("layers: ", config.layers_output, ", for --config"));
  }
  return result;
}

std::string to_string(const std::vector<LayerSensitivity>& sensitivity) {
  if (sensitivity.empty()) return "";
  size_t width = 24;
  for (const LayerSensitivity& layer : sensitivity) width = std::max(width, layer.layer.size());
  const auto row = [&](const std::string& name, const std::string& sqnr, const std::string& same) {
    return str(name, std::string(width - name.size(), ' '), std::string(10 - sqnr.size(), ' '),
               sqnr, std::string(12 - same.size(), ' '), same, '\n');
  };
  std::string text = row("layer", "SQNR dB", "agree %");
  for (const LayerSensitivity& layer : sensitivity)
    text += row(layer.layer, fixed(layer.sqnr(), 2), fixed(100 * layer.agreement, 2));
  return text;
}

Json to_json(const PtqSearchResult& result) {
  const auto texts = [](const std::vector<std::string>& list) {
    Json j = Json::array();
    for (const std::string& text : list) j.push_back(text);
    return j;
  };
  Json j = Json::object(), list = Json::array();
  for (const LayerSensitivity& layer : result.sensitivity) {
    Json row = Json::object();
    row.set("layer", layer.layer);
    row.set("sqnr_db", json_number(layer.sqnr()));
    row.set("agreement", layer.agreement);
    list.push_back(std::move(row));
  }
  j.set("sensitivity", std::move(list));
  j.set("float_layers", texts(result.float_layers));
  j.set("layer_wbits", texts(result.layers.wbits));
  return j;
}

std::string to_toml(const LayerConfig& layers) {
  return "# Layers as qat_ptq found them, for --config of qat_ptq and qat_train.\n" +
         toml_list("exclude", layers.exclude) + toml_list("include", layers.include) +
         toml_list("layer-wbits", layers.wbits);
}

}  // namespace stair::apps
