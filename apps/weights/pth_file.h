// Weights that torch.save wrote: .pth and .pt files in their zip form, tensors only.
//
// Nothing in the file can run (pickle.h), records are found in the archive alone and their CRC-32
// is checked, every view is checked against its storage, and the tensors that are read take no more
// memory than four times the file and 256 MiB.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/weights/pickle.h"
#include "apps/weights/torch_tensor.h"
#include "apps/weights/zip_archive.h"
#include "core/safetensors.h"
#include "nn/weights.h"

namespace stair::apps {

class PthFile {
 public:
  // Reads the archive's directory and the pickle, no tensor. Throws FormatError.
  explicit PthFile(const std::string& path);

  // The tensors of one dictionary, contiguous, in its order: that under `key`, without one the
  // whole content where it holds tensors itself, else the only dictionary in it that does.
  // Quantized tensors are codes with QParams; the pair of a quantized linear layer is its "weight"
  // and "bias". What is no tensor is left out, and a note lists it. Throws FormatError; where
  // several dictionaries hold tensors it lists them, with the hint --weights-key.
  nn::Weights weights(const std::string& key = "");

  // The value under keys and indices with '/' between them: "state_dict/fc.weight", "list/0".
  // Throws FormatError.
  const PickleValue& at(const std::string& path) const;
  // The tensor there, contiguous.
  Tensor tensor(const std::string& path);

 private:
  std::string read_pickle();
  std::string describe() const;
  const uint32_t* member(const PickleValue& value, std::string_view key) const;
  bool holds_tensors(const PickleValue& value) const;
  const PickleValue& choose(const std::string& key, std::vector<std::string>& skipped) const;
  void add(const std::string& name, const PickleValue& value,
           std::vector<SafeTensors::Entry>& entries);
  TorchTensor checked(const std::string& name, const PickleValue& value) const;
  Tensor with_qparams(const std::string& name, const TorchTensor& tensor, const Tensor& codes);
  Tensor read(const std::string& name, const TorchTensor& tensor);
  const std::vector<std::byte>& storage(const std::string& record, uint64_t bytes);
  void take_memory(const std::string& name, uint64_t bytes);

  ZipArchive archive_;
  std::string folder_;  // of the records in the archive
  Pickle pickle_;
  std::map<std::string, std::vector<std::byte>> storages_;  // that tensors share, or see a part of
  uint64_t memory_left_;
};

}  // namespace stair::apps
