#include "apps/train/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/program/report.h"
#include "core/text.h"
#include "qat/insight/layer_values.h"

namespace stair::apps {
namespace {

using qat::LayerValue;
using Layers = std::vector<LayerValue>;

constexpr size_t kNamesShown = 8;

Layers values_of(const ScoredFile& file, const Tensor& pictures) {
  return file.session ? qat::layer_values(*file.session, pictures)
                      : qat::layer_values(*file.graph, pictures);
}

Layers weights_of(const ScoredFile& file) {
  return file.session ? qat::layer_weights(file.session->graph()) : qat::layer_weights(*file.graph);
}

template <class T>
auto find(T& layers, const std::string& name) {
  return std::find_if(layers.begin(), layers.end(), [&](const auto& l) { return l.name == name; });
}

void add(const Layers& a, const Layers& b, std::vector<ComparedLayer>& to) {
  for (const LayerValue& layer : a) {
    const auto partner = find(b, layer.name);
    if (partner == b.end()) continue;
    auto entry = find(to, layer.name);
    if (entry == to.end()) entry = to.insert(to.end(), {layer.name, {}});
    if (layer.value.numel() != partner->value.numel())
      throw ConfigError(
          str("layer '", layer.name, "' is ", layer.value, " in A and ", partner->value, " in B"),
          "compare two forms of one network: the same --model and --width");
    entry->difference.add(layer.value, partner->value);
  }
}

std::vector<std::string> names_without_partner(const Layers& of, const Layers& in) {
  std::vector<std::string> names;
  for (const LayerValue& layer : of)
    if (find(in, layer.name) == in.end()) names.push_back(layer.name);
  return names;
}

std::string code_text(const qat::Difference& d) {
  if (!d.integers()) return "-";
  if (d.different() == 0) return d.same_steps() ? "equal" : "equal, other scale";
  const qat::Difference::Codes& first = *d.first();
  std::string index;
  for (const int64_t i : first.index) index += str(index.empty() ? "" : ",", i);
  return str(
      fixed(100.0 * static_cast<double>(d.different()) / static_cast<double>(d.elements()), 2),
      "% differ, first [", index, "] ", first.a, " | ", first.b,
      d.same_steps() ? "" : ", other scale");
}

std::string percent(const qat::Saturation& s) {
  return s.codes > 0 ? fixed(100 * s.share(), 2) : "-";
}

// `alone` may be empty.
std::string table(const char* title, const std::vector<ComparedLayer>& layers,
                  const std::vector<ComparedLayer>& alone = {}) {
  size_t width = 24;
  for (const ComparedLayer& layer : layers) width = std::max(width, layer.name.size());
  const auto row = [&](const std::string& name, const std::string& sqnr, const std::string& own,
                       const std::string& cosine, const std::string& largest, const std::string& a,
                       const std::string& b, const std::string& codes) {
    char text[512];
    std::snprintf(text, sizeof text, "%-*s %8s%s %9s %9s %7s %7s  %s\n", static_cast<int>(width),
                  printable(name).c_str(), sqnr.c_str(), own.c_str(), cosine.c_str(),
                  largest.c_str(), a.c_str(), b.c_str(), codes.c_str());
    return std::string(text);
  };
  const auto column = [&](const std::string& own) {
    return alone.empty() ? "" : str(std::string(9 - std::min<size_t>(9, own.size()), ' '), own);
  };
  std::string text =
      row(title, "SQNR dB", column("alone"), "cosine", "max diff", "sat A %", "sat B %", "codes");
  for (const ComparedLayer& layer : layers) {
    const qat::Difference& d = layer.difference;
    const auto own = find(alone, layer.name);
    text += row(layer.name, fixed(d.sqnr(), 2),
                column(own == alone.end() ? "-" : fixed(own->difference.sqnr(), 2)),
                fixed(d.cosine(), 6), fixed(d.largest(), 5), percent(d.saturation_a()),
                percent(d.saturation_b()), code_text(d));
  }
  return text;
}

Json to_json(const std::vector<ComparedLayer>& layers,
             const std::vector<ComparedLayer>& alone = {}) {
  Json list = Json::array();
  for (const ComparedLayer& layer : layers) {
    const qat::Difference& d = layer.difference;
    Json j = Json::object();
    j.set("layer", layer.name);
    j.set("sqnr_db", json_number(d.sqnr()));
    if (const auto own = find(alone, layer.name); own != alone.end()) {
      j.set("sqnr_alone_db", json_number(own->difference.sqnr()));
      j.set("max_difference_alone", own->difference.largest());
    }
    j.set("cosine", json_number(d.cosine()));
    j.set("max_difference", json_number(d.largest()));
    j.set("elements", d.elements());
    if (d.saturation_a().codes > 0) j.set("saturation_a", d.saturation_a().share());
    if (d.saturation_b().codes > 0) j.set("saturation_b", d.saturation_b().share());
    if (d.integers()) {
      j.set("same_scale", d.same_steps());
      j.set("different_codes", d.different());
    }
    if (d.integers() && d.first()) {
      Json index = Json::array();
      for (const int64_t i : d.first()->index) index.push_back(i);
      Json first = Json::object();
      first.set("index", std::move(index)).set("a", d.first()->a).set("b", d.first()->b);
      j.set("first_difference", std::move(first));
    }
    list.push_back(std::move(j));
  }
  return list;
}

std::string preparation(const DataConfig& c) {
  return str("resize ", c.val_resize_size, ", crop ", c.val_crop_size, ", mean ", c.mean[0], ",",
             c.mean[1], ",", c.mean[2], ", std ", c.std[0], ",", c.std[1], ",", c.std[2]);
}

}  // namespace

DataConfig common_preparation(const ScoredFile& a, const ScoredFile& b) {
  const bool both = a.form != "float" && b.form != "float";
  if (both && preparation(a.data) != preparation(b.data))
    throw ConfigError(
        str("A prepares pictures with ", preparation(a.data), ", B with ", preparation(b.data)),
        "say what both get: --val-resize-size, --val-crop-size, --mean, --std");
  return a.form == "float" ? b.data : a.data;
}

Comparison compare(const ScoredFile& a, const ScoredFile& b, data::Loader& loader,
                   const SeenValue& seen, bool shadow) {
  if (shadow && !b.session)
    throw ConfigError("B is a float network, it has no layers of integers to look at alone",
                      "--shadow compares an int8 file or a checkpoint of QAT with A");
  Comparison result;
  const auto show = [&](const char* kind, const Layers& of_a, const Layers& of_b) {
    if (!seen) return;
    for (const LayerValue& layer : of_a) seen("a", kind, layer.name, layer.value);
    for (const LayerValue& layer : of_b) seen("b", kind, layer.name, layer.value);
  };
  const Layers weights_a = weights_of(a), weights_b = weights_of(b);
  add(weights_a, weights_b, result.weights);
  show("weights", weights_a, weights_b);
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    const Tensor pictures = batch->images.reals();
    const Layers of_a = values_of(a, pictures), of_b = values_of(b, pictures);
    if (result.pictures == 0) {
      result.only_a = names_without_partner(of_a, of_b);
      result.only_b = names_without_partner(of_b, of_a);
      if (result.only_a.size() + 1 >= of_a.size())
        throw ConfigError(str("no layer has the same name in A and B; A has ",
                              join(result.only_a, ", ", kNamesShown), "; B has ",
                              join(result.only_b, ", ", kNamesShown)),
                          "compare two forms of one network");
    }
    add(of_a, of_b, result.values);
    if (shadow) add(of_a, qat::shadow_values(*b.session, pictures, of_a), result.alone);
    show("activations", of_a, of_b);
    result.pictures += pictures.size(0);
  }
  return result;
}

std::string to_string(const Comparison& c) {
  std::string text = table("values", c.values, c.alone) + "\n" + table("weights", c.weights);
  for (const auto& [who, names] : {std::pair{"A", &c.only_a}, {"B", &c.only_b}})
    if (!names->empty()) text += str("only in ", who, ": ", join(*names, ", ", kNamesShown), "\n");
  const auto differs = std::find_if(c.values.begin(), c.values.end(), [](const auto& layer) {
    return layer.difference.largest() > 0;
  });
  text += differs == c.values.end()
              ? str("all values are equal on ", c.pictures, " pictures\n")
              : str("first layer that differs on ", c.pictures, " pictures: ", differs->name, "\n");
  return text;
}

Json to_json(const Comparison& c) {
  Json j = Json::object();
  j.set("pictures", c.pictures);
  j.set("values", to_json(c.values, c.alone));
  j.set("weights", to_json(c.weights));
  for (const auto& [key, names] : {std::pair{"only_a", &c.only_a}, {"only_b", &c.only_b}}) {
    Json list = Json::array();
    for (const std::string& name : *names) list.push_back(name);
    j.set(key, std::move(list));
  }
  return j;
}

}  // namespace stair::apps
