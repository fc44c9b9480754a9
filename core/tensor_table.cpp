#include "core/tensor_table.h"

#include <array>
#include <cstring>

#include "core/json.h"
#include "core/text.h"

namespace stair {
namespace {

constexpr uint64_t kAlign = 64;
constexpr std::array kDTypes = {DType::f32, DType::f64, DType::u8,
                                DType::s8,  DType::s32, DType::s64};

DType dtype_called(const std::string& text, const std::string& tensor) {
  for (DType dtype : kDTypes)
    if (text == name(dtype)) return dtype;
  throw FormatError(
      str("tensor '", printable(tensor), "': element type '", printable(text), "' is unknown"));
}

Tensor read_tensor(const Json& entry, const Tensor& section, const std::string& tensor_name) {
  const DType dtype = dtype_called(entry.at("dtype").as_string(), tensor_name);
  const uint64_t available = static_cast<uint64_t>(section.numel());
  std::vector<int64_t> dims;
  uint64_t elements = 1;
  for (const Json& d : entry.at("shape").as_array()) {
    const uint64_t size = d.as_uint();
    if (size > available || (size > 0 && elements > available / size))
      throw FormatError(str("tensor '", printable(tensor_name), "' is larger than its section"));
    elements *= size;
    dims.push_back(static_cast<int64_t>(size));
  }
  const uint64_t offset = entry.at("offset").as_uint();
  const uint64_t bytes = bytes_of(dtype, static_cast<int64_t>(elements));
  if (offset > available || bytes > available - offset)
    throw FormatError(
        str("tensor '", printable(tensor_name), "' reaches past the end of its section"));
  Tensor tensor = Tensor::empty(Shape(std::move(dims)), dtype);
  std::memcpy(tensor.raw(), section.raw() + offset, bytes);
  return tensor;
}

}  // namespace

void TensorTable::add(const std::string& tensor_name, const Tensor& tensor) {
  if (tensor.defined()) tensors_.push_back({tensor_name, tensor});
}

void TensorTable::append_sections(std::vector<Section>& sections) {
  static const std::array<std::byte, kAlign> zeros{};
  Json list = Json::array();
  uint64_t position = 0;
  parts_.clear();
  for (const NamedTensor& t : tensors_) {
    const uint64_t gap = (kAlign - position % kAlign) % kAlign;
    if (gap > 0) parts_.push_back(std::span(zeros).first(gap));
    position += gap;
    Json shape = Json::array(), entry = Json::object();
    for (int64_t d : t.tensor.shape().dims()) shape.push_back(d);
    entry.set("name", t.name);
    entry.set("dtype", name(t.tensor.dtype()));
    entry.set("shape", std::move(shape));
    entry.set("offset", position);
    list.push_back(std::move(entry));
    parts_.push_back({t.tensor.raw(), t.tensor.bytes()});
    position += t.tensor.bytes();
  }
  index_ = list.dump();
  sections.emplace_back(name_ + ".index", std::string_view(index_));
  sections.emplace_back(name_, parts_);
}

std::map<std::string, Tensor> read_tensor_table(const SectionFile& file, const std::string& name) {
  const Json list = parse_json(file.text(name + ".index"), name + ".index");
  std::map<std::string, Tensor> tensors;
  for (const Json& entry : list.as_array()) {
    const std::string& tensor_name = entry.at("name").as_string();
    if (!tensors.emplace(tensor_name, read_tensor(entry, file.at(name), tensor_name)).second)
      throw FormatError(str("tensor '", printable(tensor_name), "' occurs twice"));
  }
  return tensors;
}

}  // namespace stair
