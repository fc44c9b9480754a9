// safetensors files: tensors with names, and nothing that could run.
//
// Layout: header length (u64, little-endian), a JSON header {"name": {"dtype", "shape",
// "data_offsets"}, ...,
// "__metadata__": {text: text}}, then the bytes of the tensors without gaps. Format:
// https://github.com/huggingface/safetensors. Reading is stricter than its reference 0.8.0: a name
// that occurs twice, a header that does not begin with '{' and unknown keys of a tensor are refused
// as well.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace stair {

struct SafeTensors {
  struct Entry {
    std::string name;
    Tensor tensor;
    std::string stored_as;  // dtype in the file: F16 and BF16 were converted to f32, BOOL became u8
  };
  std::string path;
  std::vector<Entry> tensors;  // in the order of their bytes
  std::map<std::string, std::string> metadata;

  // The tensor of that name, or nullptr.
  const Tensor* find(std::string_view name) const;
  // Throws FormatError when there is none, naming the nearest name.
  const Tensor& at(std::string_view name) const;
};

// Reads dtypes F32, F64, U8, I8, I32, I64, BOOL, F16 and BF16. Values are not looked at: NaN
// passes. Everything the header says is checked against the size of the file before memory is asked
// for, which stays within the size of the file and its header (twice the size for 16-bit floats).
// Throws FormatError naming file, tensor and fault.
SafeTensors read_safetensors(const std::string& path);

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// Writes the tensors in the order given, atomically. Quantization parameters of a tensor are not
// written, only its integers. Throws FormatError when a name occurs twice, is "__metadata__" or not
// UTF-8, DTypeError on undefined and bit-mask tensors, IoError when the file cannot be written.
void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace stair
