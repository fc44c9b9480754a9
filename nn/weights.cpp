#include "nn/weights.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "nn/finite.h"

namespace stair::nn {
namespace {

constexpr uint64_t kMostIndexBytes = uint64_t{16} << 20;

Tensor narrowed(const Tensor& t) {
  Tensor out = Tensor::empty(t.shape(), DType::f32);
  std::transform(t.data<double>(), t.data<double>() + t.numel(), out.data<float>(),
                 [](double v) { return static_cast<float>(v); });
  return out;
}

// The file of a part, beside the index. A name that leads elsewhere could make the program read any
// file of its user.
std::string part_path(const std::string& index, const std::string& name) {
  const std::string path = path_in(folder_of(index), name);
  struct stat info {};
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
  if (!plain || (::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode)))
    throw FormatError(str("cannot read ", path_in_quotes(index), ": weight_map names ",
                          in_quotes(name), ", only plain files in the same folder are read"),
                      "put all parts beside the index");
  return path;
}

std::vector<SafeTensors::Entry> read_parts(const std::string& path) {
  const std::string what = str("cannot read ", path_in_quotes(path));
  const Json index = parse_json(read_file(path, kMostIndexBytes, FileUse::model), what);
  const Json* map = index.is_object() ? index.find("weight_map") : nullptr;
  if (map == nullptr || !map->is_object())
    throw FormatError(str(what, ": it has no object weight_map"),
                      "an index says in which file each tensor is");
  std::map<std::string, std::map<std::string, bool>> parts;  // tensors of a file: found?
  for (const auto& [tensor, file] : map->as_object()) {
    if (!file.is_string())
      throw FormatError(str(what, ": the file of ", in_quotes(tensor), " is no text"));
    parts[file.as_string()][tensor] = false;
  }
  std::vector<SafeTensors::Entry> entries;
  for (auto& [name, tensors] : parts) {
    for (SafeTensors::Entry& entry : read_safetensors(part_path(path, name)).tensors) {
      const auto it = tensors.find(entry.name);
      if (it == tensors.end())
        throw FormatError(str(what, ": weight_map does not say that ", in_quotes(entry.name),
                              " is in ", in_quotes(name)));
      it->second = true;
      entries.push_back(std::move(entry));
    }
    for (const auto& [tensor, found] : tensors)
      if (!found)
        throw FormatError(
            str(what, ": there is no tensor ", in_quotes(tensor), " in ", in_quotes(name)));
  }
  return entries;
}

}  // namespace

Weights weights_of(std::string path, std::vector<SafeTensors::Entry> entries) {
  Weights weights{.path = std::move(path), .tensors = {}, .notes = {}};
  std::map<std::string, int64_t> converted;
  for (SafeTensors::Entry& entry : entries) {
    const std::string& type = entry.stored_as;
    if (type == "F16" || type == "BF16" || type == "F64") ++converted[type];
    if (entry.tensor.dtype() == DType::f64) entry.tensor = narrowed(entry.tensor);
    weights.tensors.push_back({std::move(entry.name), std::move(entry.tensor)});
  }
  for (const auto& [type, count] : converted)
    weights.notes.push_back(str(count, " tensors converted from ", type, " to F32"));
  return weights;
}

Weights read_weights(const std::string& path) {
  return weights_of(
      path, path.ends_with(".json") ? read_parts(path) : std::move(read_safetensors(path).tensors));
}

bool is_quantized(const Weights& weights) {
  return std::any_of(weights.tensors.begin(), weights.tensors.end(),
                     [](const NamedTensor& t) { return t.tensor.quantized(); });
}

void load_weights(Module& module, const Weights& weights, LoadOptions options) {
  if (is_quantized(weights))
    throw FormatError(
        str(path_in_quotes(weights.path), " holds the integers of a quantized network"),
        "qat_eval, qat_compare and qat_export take them; training starts from float weights");
  if (!options.allow_nonfinite)
    require_finite(weights.path, weights.tensors, "--allow-nonfinite loads it anyway");
  options.source = weights.path;
  load_state_dict(module, weights.tensors, options);
}

void load_weights(Module& module, const std::string& path, LoadOptions options) {
  load_weights(module, read_weights(path), options);
}

void save_weights(const std::string& path, const Module& module,
                  const std::map<std::string, std::string>& metadata) {
  write_safetensors(path, state_dict(module), metadata);
}

}  // namespace stair::nn
