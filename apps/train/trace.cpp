#include "apps/train/trace.h"

namespace stair::apps {

Trace::Trace(ScoredFile& file) {
  file.network = [this, network = file.network, session = file.session](const Tensor& pictures) {
    if (session != nullptr && batches_ == 0)
      session->node_values(pictures, [&](const qat::Int8Node& node, const Tensor& value) {
        if (!node.format.real) tensors_.push_back({"codes." + node.name, value});
      });
    tensors_.push_back({str("pictures.", batches_++), pictures.clone()});
    return network(pictures);
  };
}

void Trace::write(const std::string& path, const Tensor& logits) const {
  std::vector<NamedTensor> all = tensors_;
  all.push_back({"logits", logits});
  write_safetensors(path, all);
}

}  // namespace stair::apps
