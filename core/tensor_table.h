// Named tensors as two sections of a section file: "<name>.index", a JSON list of names, element
// types, shapes and offsets, and
// "<name>", their bytes, each tensor at a multiple of 64.
#pragma once

#include <map>

#include "core/safetensors.h"
#include "core/section_file.h"

namespace stair {

class TensorTable {
 public:
  explicit TensorTable(std::string name) : name_(std::move(name)) {}
  // The tensor's memory must live until the file is written. Undefined tensors are left out.
  void add(const std::string& tensor_name, const Tensor& tensor);
  // The two sections, valid as long as this object.
  void append_sections(std::vector<Section>& sections);

 private:
  std::string name_, index_;
  std::vector<NamedTensor> tensors_;
  std::vector<std::span<const std::byte>> parts_;
};

// The tensors of a table, by name, in memory of their own. Throws FormatError when an entry does
// not fit its section.
std::map<std::string, Tensor> read_tensor_table(const SectionFile& file, const std::string& name);

}  // namespace stair
