// Tensors as torch pickles them: a view into a storage, which is a record of the archive.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/weights/pickle.h"
#include "core/tensor.h"

namespace stair::apps {

struct TorchType {
  const char* storage;    // class of the storage
  const char* stored_as;  // safetensors' name of the type
  uint64_t bytes;         // of an element in the file
  DType dtype;            // in memory: 16-bit floats become f32, bool becomes u8
  bool quantized = false;
};

struct TorchTensor {
  std::string key;  // of the storage
  const TorchType* type = nullptr;
  uint64_t storage_elements = 0;
  int64_t offset = 0;  // elements
  Shape shape;
  std::vector<int64_t> strides;  // elements

  // Of quantized types: one scale and zero point, or those along the dimension `axis`.
  double scale = 1;
  int64_t zero_point = 0;
  int axis = -1;
  std::vector<TorchTensor> channels;  // scales, f64 or f32, and zero points, s64

  // Whether the elements are those of the whole storage in order.
  bool is_whole_storage() const;
};

// Whether torch makes the value a tensor, of a kind that can be read or another.
bool is_tensor(const Pickle& pickle, const PickleValue& value);

// The tensor that the call makes, or why it is none that can be read: another layout than strided,
// another type than those of safetensors that Stair knows, numbers that do not fit its storage.
struct TorchTensorOrReason {
  std::optional<TorchTensor> tensor;
  std::string reason;
};
TorchTensorOrReason torch_tensor(const Pickle& pickle, const PickleValue& value);

// The elements in order, out of the bytes of the storage.
Tensor gather(const TorchTensor& tensor, std::span<const std::byte> storage);

}  // namespace stair::apps
