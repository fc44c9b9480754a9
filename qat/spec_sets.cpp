#include "qat/spec_sets.h"

#include <algorithm>

namespace stair::qat {
namespace {

QuantizationSpec spec_of(const FixedQParamsQuantizationSpec& fixed) {
  QuantizationSpec spec;
  spec.observer = "fixed";
  spec.is_signed = fixed.is_signed;
  set_bits(spec, 8);
  spec.qmin = fixed.quant_min;
  spec.qmax = fixed.quant_max;
  spec.fixed_scale = fixed.scale;
  spec.fixed_zero_point = fixed.zero_point;
  return spec;
}

bool same(const SpecSets::Set& a, const SpecSets::Set& b) {
  return !a.derived && !b.derived && a.spec == b.spec;
}

}  // namespace

std::string SpecSets::text(const EdgeOrNode& place) const {
  const std::string from = "'" + graph_.node(place.from).name + "'";
  return place.to < 0 ? "the value of " + from
                      : str("the edge from ", from, " to '", graph_.node(place.to).name, "'");
}

SpecSets::SpecSets(const nn::Graph& graph, const Annotations& annotations)
    : graph_(graph), annotations_(annotations) {
  collect();
  join_shared();
  join_equal();
}

void SpecSets::collect() {
  const auto add = [&](const EdgeOrNode& place, const QuantizationSpecBase& spec) {
    index_[place] = static_cast<int>(specs_.size());
    parent_.push_back(static_cast<int>(specs_.size()));
    specs_.push_back(&spec);
    places_.push_back(place);
  };
  for (const auto& [id, annotation] : annotations_) {
    const nn::Node& node = graph_.node(id);
    for (const auto& [input, spec] : annotation.input_qspec_map) {
      if (std::find(node.inputs.begin(), node.inputs.end(), input) == node.inputs.end())
        throw ConfigError(
            str("annotation of '", node.name, "': node ", input, " is none of its inputs"));
      add({input, id}, spec);
    }
    if (annotation.output_qspec) add({id}, *annotation.output_qspec);
  }
}

int SpecSets::root(int i) const {
  while (parent_[static_cast<size_t>(i)] != i) i = parent_[static_cast<size_t>(i)];
  return i;
}

void SpecSets::join(int a, int b) {
  parent_[static_cast<size_t>(std::max(root(a), root(b)))] = std::min(root(a), root(b));
}

void SpecSets::require_place(const EdgeOrNode& place, const EdgeOrNode& named_by) const {
  if (!index_.contains(place))
    throw ConfigError(
        str("annotation: ", text(named_by), " refers to ", text(place), ", which is not annotated"),
        "annotate that place, too, or share with another one");
}

void SpecSets::settle(Set& set) const {
  for (const EdgeOrNode& place : set.members) {
    const QuantizationSpecBase& base = *specs_[static_cast<size_t>(index_.at(place))];
    if (std::holds_alternative<SharedQuantizationSpec>(base)) continue;
    if (const auto* fixed = std::get_if<FixedQParamsQuantizationSpec>(&base))
      set.spec = spec_of(*fixed);
    else if (const auto* spec = std::get_if<QuantizationSpec>(&base))
      set.spec = *spec;
    else
      set.derived = &std::get<DerivedQuantizationSpec>(base);
    if (set.derived)
      for (const EdgeOrNode& source : set.derived->derived_from) require_place(source, place);
    return;
  }
  throw ConfigError(str("annotation: ", text(set.members.front()),
                        " shares its parameters in a circle; no place has a specification"));
}

void SpecSets::join_shared() {
  for (size_t i = 0; i < specs_.size(); ++i)
    if (const auto* shared = std::get_if<SharedQuantizationSpec>(specs_[i])) {
      require_place(shared->edge_or_node, places_[i]);
      join(static_cast<int>(i), index_.at(shared->edge_or_node));
    }
  for (size_t i = 0; i < places_.size(); ++i)
    sets_[root(static_cast<int>(i))].members.push_back(places_[i]);
  for (auto& [index, set] : sets_) settle(set);
}

void SpecSets::join_equal() {
  const auto join_if_same = [&](int a, int b) {
    a = root(a), b = root(b);
    if (a == b || !same(sets_.at(a), sets_.at(b))) return;
    join(a, b);
    Set& kept = sets_.at(root(a));
    const auto gone = sets_.extract(root(a) == a ? b : a);
    kept.members.insert(kept.members.end(), gone.mapped().members.begin(),
                        gone.mapped().members.end());
  };
  for (const auto& [place, i] : index_) {
    // Weights are quantized by each layer for itself.
    if (place.to < 0 || graph_.node(place.from).is_state()) continue;
    if (const auto output = index_.find({place.from}); output != index_.end())
      join_if_same(output->second, i);
    else
      for (const auto& [other, j] : index_)
        if (other.from == place.from && j < i) join_if_same(j, i);
  }
}

const SpecSets::Set* SpecSets::find(const EdgeOrNode& place) const {
  const auto found = index_.find(place);
  return found == index_.end() ? nullptr : &sets_.at(root(found->second));
}

}  // namespace stair::qat
