// What another program needs to be compared with a network: the pictures as the network gets them,
// its logits, and the codes inside.
#pragma once

#include <string>
#include <vector>

#include "apps/train/scored_file.h"
#include "core/safetensors.h"

namespace stair::apps {

class Trace {
 public:
  // From now on `file.network` also remembers its pictures, all of them, and of an int8 file the
  // codes of every node for the first batch. Must outlive the network.
  explicit Trace(ScoredFile& file);
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // Tensors pictures.0, pictures.1, ... [N,H,W,3] by batch, logits, and codes.NODE. Throws IoError.
  void write(const std::string& path, const Tensor& logits) const;

 private:
  std::vector<NamedTensor> tensors_;
  int64_t batches_ = 0;
};

}  // namespace stair::apps
