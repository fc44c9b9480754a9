// How a backend wants a model to be quantized: the extension point of graph quantization (the
// `Quantizer` of torch.ao's PT2E; here that name is the module which rounds).
#pragma once

#include <memory>

#include "qat/annotation.h"

namespace stair::qat {

class BackendQuantizer {
 public:
  virtual ~BackendQuantizer() = default;

  // Adds annotations. Nodes that are annotated already belong to a quantizer before this one.
  virtual void annotate(const nn::Graph& graph, Annotations& annotations) const = 0;
  // Throws ConfigError when this backend cannot run what all quantizers together annotated.
  virtual void validate(const nn::Graph&, const Annotations&) const {}
  // The operations that it can quantize.
  virtual std::vector<std::string> quantization_capabilities() const = 0;
};

}  // namespace stair::qat
