// What a quantizer wants of the tensors of a graph. `prepare` reads nothing else.
//
// An annotation belongs to a node: specifications of its input edges and of its output. Names are
// those of torch.ao's PT2E quantization.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "nn/graph/graph.h"
#include "qat/spec.h"

namespace stair::qat {

// An input edge, from a producer to the node that reads it, or the value of a node. Ids of the
// graph that is annotated.
struct EdgeOrNode {
  int from = -1;
  int to = -1;  // -1: the value of `from`
  auto operator<=>(const EdgeOrNode&) const = default;
};

// The quantization parameters of another annotated edge or node. Sharing is transitive; an edge
// also shares with its producer's output, and with the other readers' edges, where they are
// annotated with equal specifications.
struct SharedQuantizationSpec {
  EdgeOrNode edge_or_node;
};

// Parameters known beforehand, such as 1/256 and 0 of a sigmoid.
struct FixedQParamsQuantizationSpec {
  float scale = 1;
  int32_t zero_point = 0;
  bool is_signed = false;
  int32_t quant_min = 0, quant_max = 255;
};

// From the parameters of other tensors to those of this one.
using DeriveQParams = std::function<QParams(std::span<const QParams> derived_from)>;

// Parameters that follow from those of other tensors. On the edge of a bias derived from (input,
// weight) the range may be that of int32.
struct DerivedQuantizationSpec {
  std::vector<EdgeOrNode> derived_from;
  DeriveQParams derive_qparams_fn;
  bool is_signed = true;
  int64_t quant_min = -128, quant_max = 127;
};

// Of a bias: whole steps of the accumulator of (input, weight), in 32 bits.
DerivedQuantizationSpec bias_spec(const EdgeOrNode& input, const EdgeOrNode& weight);

using QuantizationSpecBase = std::variant<QuantizationSpec, SharedQuantizationSpec,
                                          FixedQParamsQuantizationSpec, DerivedQuantizationSpec>;

struct QuantizationAnnotation {
  // By the id of the input's producer. Inputs and outputs that have no entry stay real numbers.
  std::map<int, QuantizationSpecBase> input_qspec_map;
  std::optional<QuantizationSpecBase> output_qspec;
  // Whether a quantizer took the node, alone or as a part of a pattern.
  bool annotated = false;
  // For the report: why the node stays float, or what else there is to say.
  std::string note;
};

// By the id of the node.
using Annotations = std::map<int, QuantizationAnnotation>;

}  // namespace stair::qat
