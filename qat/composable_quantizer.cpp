#include "qat/composable_quantizer.h"

#include <algorithm>

namespace stair::qat {
namespace {

bool same(const QuantizationSpecBase& a, const QuantizationSpecBase& b) {
  const auto* spec = std::get_if<QuantizationSpec>(&a);
  return a.index() == b.index() && (!spec || *spec == std::get<QuantizationSpec>(b));
}

// Whether a quantizer wrote anew what stood there.
bool changed(const QuantizationAnnotation& before, const QuantizationAnnotation& after) {
  const auto same_entry = [](const auto& a, const auto& b) {
    return a.first == b.first && same(a.second, b.second);
  };
  const auto &a = before.input_qspec_map, &b = after.input_qspec_map;
  return !std::equal(a.begin(), a.end(), b.begin(), b.end(), same_entry) ||
         before.output_qspec.has_value() != after.output_qspec.has_value() ||
         (before.output_qspec && !same(*before.output_qspec, *after.output_qspec));
}

}  // namespace

void ComposableQuantizer::annotate(const nn::Graph& graph, Annotations& annotations) const {
  for (size_t i = 0; i < quantizers_.size(); ++i) {
    Annotations proposed = annotations;
    // Why an earlier quantizer left a node float does not keep this one from it.
    for (auto& [id, annotation] : proposed)
      if (!annotation.annotated) annotation.note.clear();
    quantizers_[i]->annotate(graph, proposed);
    for (auto& [id, proposal] : proposed) {
      QuantizationAnnotation& kept = annotations[id];
      if (!kept.annotated) {
        if (!proposal.annotated && !kept.note.empty()) proposal.note = kept.note;
        kept = std::move(proposal);
      } else if (changed(kept, proposal)) {
        kept.note = str("quantizer ", i, " wanted it too, the first wins");
      }
    }
  }
}

void ComposableQuantizer::validate(const nn::Graph& graph, const Annotations& annotations) const {
  for (const auto& quantizer : quantizers_) quantizer->validate(graph, annotations);
}

std::vector<std::string> ComposableQuantizer::quantization_capabilities() const {
  std::vector<std::string> all;
  for (const auto& quantizer : quantizers_)
    for (const std::string& op : quantizer->quantization_capabilities())
      if (std::find(all.begin(), all.end(), op) == all.end()) all.push_back(op);
  return all;
}

}  // namespace stair::qat
