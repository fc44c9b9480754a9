// Two forms of a network side by side, layer by layer.
#pragma once

#include <string>
#include <vector>

#include "apps/train/scored_file.h"
#include "data/loader.h"
#include "qat/insight/difference.h"

namespace stair::apps {

struct ComparedLayer {
  std::string name;
  qat::Difference difference;
};

struct Comparison {
  std::vector<ComparedLayer> values, weights;  // in the order of `a`
  std::vector<ComparedLayer> alone;            // with `shadow`: layers of b on the inputs of a
  std::vector<std::string> only_a, only_b;     // layers without a partner
  int64_t pictures = 0;
};

// How pictures are prepared for both. Throws ConfigError when the files disagree.
DataConfig common_preparation(const ScoredFile& a, const ScoredFile& b);

// Runs both on the same pictures; `a` is the reference. `seen` gets each value of either network on
// the way, if it is set. With `shadow` each layer of b also runs on what a has for its inputs.
// Throws ConfigError when no layer has the same name in both, or b has no int8 form for `shadow`.
using SeenValue = std::function<void(const char* network, const char* kind, const std::string& name,
                                     const Tensor& value)>;
Comparison compare(const ScoredFile& a, const ScoredFile& b, data::Loader& loader,
                   const SeenValue& seen = {}, bool shadow = false);

std::string to_string(const Comparison& comparison);
Json to_json(const Comparison& comparison);

}  // namespace stair::apps
