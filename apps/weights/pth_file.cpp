#include "apps/weights/pth_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/text.h"

namespace stair::apps {
namespace {

constexpr uint64_t kMostPickleBytes = uint64_t{32} << 20;
constexpr uint64_t kMemory = uint64_t{256} << 20;
constexpr size_t kListed = 10;
constexpr const char* kConvertHint =
    "in Python: torch.save(torch.load(FILE, weights_only=True)['state_dict'], NEW)";

// torch.ao.nn.quantized.Linear keeps (weight, bias) under the first, in older files its tensors
// under names that begin with the second; the third is a type.
constexpr std::string_view kPackedPair = "_packed_params._packed_params";
constexpr std::string_view kPacked = "_packed_params.";
constexpr std::string_view kPackedType = "_packed_params.dtype";

bool is_packed_pair(const std::string& name, const PickleValue& value) {
  return name.ends_with(kPackedPair) && value.kind == PickleKind::tuple && value.items.size() == 2;
}

// "fc.weight" of "fc._packed_params.weight".
std::string without_packing(std::string name) {
  const size_t at = name.rfind(kPacked);
  return at == std::string::npos ? name : name.erase(at, kPacked.size());
}

uint64_t times_four_and(uint64_t bytes, uint64_t more) {
  return bytes > (UINT64_MAX - more) / 4 ? UINT64_MAX : bytes * 4 + more;
}

}  // namespace

PthFile::PthFile(const std::string& path)
    : archive_(path),
      pickle_(read_pickle(), str("cannot read ", path_in_quotes(path), ": data.pkl")),
      memory_left_(times_four_and(archive_.file_size(), kMemory)) {}

// torch puts all records into one folder, named after the file.
std::string PthFile::read_pickle() {
  constexpr std::string_view kPickle = "data.pkl";
  const std::map<std::string, uint64_t>& sizes = archive_.sizes();
  const auto record = std::find_if(
      sizes.begin(), sizes.end(), [&](const std::pair<const std::string, uint64_t>& r) {
        const size_t folder = r.first.find('/');
        return folder != std::string::npos && r.first.substr(folder + 1) == kPickle;
      });
  if (record == sizes.end())
    archive_.fail("it is a zip file without data.pkl, so torch.save did not write it",
                  "--weights takes what torch.save(model.state_dict(), FILE) writes");
  folder_ = record->first.substr(0, record->first.find('/') + 1);
  const auto code = sizes.lower_bound(folder_ + "code/");
  if (sizes.contains(folder_ + "constants.pkl") ||
      (code != sizes.end() && code->first.starts_with(folder_ + "code/")))
    archive_.fail("it is a TorchScript program, not weights",
                  "in Python: torch.save(torch.jit.load(FILE).state_dict(), NEW)");
  if (const auto order = sizes.find(folder_ + "byteorder"); order != sizes.end()) {
    std::string text(std::min<uint64_t>(order->second, 16), '\0');
    if (text.size() == order->second)
      archive_.read(order->first, std::as_writable_bytes(std::span(text)));
    if (text != "little")
      archive_.fail(str("its byte order is ", in_quotes(text), ", only little can be read"),
                    "save it again on a little-endian machine");
  }
  if (record->second > kMostPickleBytes)
    archive_.fail(str("its data.pkl has ", record->second, " bytes, at most ", kMostPickleBytes,
                      " are allowed"),
                  kConvertHint);
  std::string bytes(record->second, '\0');
  archive_.read(record->first, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

const uint32_t* PthFile::member(const PickleValue& value, std::string_view key) const {
  if (value.kind == PickleKind::dict)
    if (const uint32_t* found = pickle_.find(value, key)) return found;
  int64_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size()) return nullptr;
  if (value.kind == PickleKind::dict) {
    for (size_t i = 0; i < value.items.size(); i += 2) {
      const PickleValue& k = pickle_[value.items[i]];
      if (k.kind == PickleKind::integer && k.integer == index) return &value.items[i + 1];
    }
  } else if (value.kind == PickleKind::list || value.kind == PickleKind::tuple) {
    if (index >= 0 && static_cast<uint64_t>(index) < value.items.size())
      return &value.items[static_cast<size_t>(index)];
  }
  return nullptr;
}

const PickleValue& PthFile::at(const std::string& path) const {
  const PickleValue* value = &pickle_[pickle_.root()];
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const uint32_t* next = member(*value, std::string_view(path).substr(begin, end - begin));
    if (next == nullptr)
      archive_.fail(str("it holds no ", in_quotes(path), "; it holds ", describe()),
                    "--weights-key takes keys with '/' between them");
    value = &pickle_[*next];
    begin = end + 1;
  }
  return *value;
}

// What the content is, at its first level.
std::string PthFile::describe() const {
  const PickleValue& root = pickle_[pickle_.root()];
  if (root.kind != PickleKind::dict) return pickle_.type_name(root);
  std::vector<std::string> members;
  for (size_t i = 0; i < root.items.size(); i += 2) {
    const PickleValue& key = pickle_[root.items[i]];
    members.push_back(str(key.kind == PickleKind::text ? std::string(key.text) : "?", " (",
                          is_tensor(pickle_, pickle_[root.items[i + 1]])
                              ? "tensor"
                              : pickle_.type_name(pickle_[root.items[i + 1]]),
                          ")"));
  }
  return members.empty() ? "nothing" : join(members, ", ", kListed);
}

bool PthFile::holds_tensors(const PickleValue& value) const {
  if (value.kind != PickleKind::dict) return false;
  for (size_t i = 0; i < value.items.size(); i += 2)
    if (pickle_[value.items[i]].kind == PickleKind::text &&
        is_tensor(pickle_, pickle_[value.items[i + 1]]))
      return true;
  return false;
}

const PickleValue& PthFile::choose(const std::string& key,
                                   std::vector<std::string>& skipped) const {
  const PickleValue& root = pickle_[pickle_.root()];
  if (!key.empty()) {
    const PickleValue& chosen = at(key);
    if (!holds_tensors(chosen))
      archive_.fail(str(in_quotes(key), " holds no tensors but is ", pickle_.type_name(chosen)),
                    "--weights-key names a dictionary of tensors");
    return chosen;
  }
  if (holds_tensors(root)) return root;
  std::vector<std::string> keys;
  const PickleValue* chosen = nullptr;
  if (root.kind == PickleKind::dict) {
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const PickleValue &name = pickle_[root.items[i]], &value = pickle_[root.items[i + 1]];
      const std::string text(name.kind == PickleKind::text ? name.text : "?");
      if (name.kind == PickleKind::text && holds_tensors(value)) {
        keys.push_back(text);
        chosen = &value;
      } else {
        skipped.push_back(str(text, " (", pickle_.type_name(value), ")"));
      }
    }
  }
  if (chosen == nullptr)
    archive_.fail(str("it holds no tensors, only ", describe()),
                  "--weights takes what torch.save(model.state_dict(), FILE) writes");
  if (keys.size() > 1)
    archive_.fail(str("several dictionaries hold tensors: ", join(keys, ", ", kListed)),
                  str("--weights-key ", printable(keys[0]), " takes the first"));
  return *chosen;
}

nn::Weights PthFile::weights(const std::string& key) {
  std::vector<std::string> skipped;
  const PickleValue& dict = choose(key, skipped);
  std::vector<SafeTensors::Entry> entries;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const PickleValue &name = pickle_[dict.items[i]], &value = pickle_[dict.items[i + 1]];
    const std::string text(name.kind == PickleKind::text ? name.text : "?");
    if (name.kind == PickleKind::text && is_packed_pair(text, value)) {
      const std::string layer = text.substr(0, text.size() - kPackedPair.size());
      add(layer + "weight", pickle_[value.items[0]], entries);
      if (pickle_[value.items[1]].kind != PickleKind::none)
        add(layer + "bias", pickle_[value.items[1]], entries);
    } else if (name.kind == PickleKind::text && is_tensor(pickle_, value)) {
      add(without_packing(text), value, entries);
    } else if (!text.ends_with(kPackedType)) {
      skipped.push_back(str(text, " (", pickle_.type_name(value), ")"));
    }
  }
  storages_.clear();
  nn::Weights weights = nn::weights_of(archive_.path(), std::move(entries));
  if (!skipped.empty())
    weights.notes.push_back(str("left out, no tensors: ", join(skipped, ", ", kListed)));
  return weights;
}

void PthFile::add(const std::string& name, const PickleValue& value,
                  std::vector<SafeTensors::Entry>& entries) {
  if (!is_tensor(pickle_, value))
    archive_.fail(str(in_quotes(name), " is no tensor but ", pickle_.type_name(value)), "");
  const TorchTensor tensor = checked(name, value);
  entries.push_back({name, read(name, tensor), tensor.type->stored_as});
}

Tensor PthFile::tensor(const std::string& path) {
  const PickleValue& value = at(path);
  if (!is_tensor(pickle_, value))
    archive_.fail(str(in_quotes(path), " is no tensor but ", pickle_.type_name(value)), "");
  return read(path, checked(path, value));
}

TorchTensor PthFile::checked(const std::string& name, const PickleValue& value) const {
  TorchTensorOrReason result = torch_tensor(pickle_, value);
  if (!result.tensor) archive_.fail(str("tensor ", in_quotes(name), ": ", result.reason), "");
  return std::move(*result.tensor);
}

void PthFile::take_memory(const std::string& name, uint64_t bytes) {
  if (bytes > memory_left_)
    archive_.fail(str("tensor ", in_quotes(name), " of ", bytes,
                      " bytes takes the tensors beyond four times the file"),
                  "save contiguous tensors: {name: t.contiguous().clone() ...}");
  memory_left_ -= bytes;
}

const std::vector<std::byte>& PthFile::storage(const std::string& record, uint64_t bytes) {
  const auto [it, is_new] = storages_.try_emplace(record);
  if (is_new) {
    it->second.resize(bytes);
    archive_.read(record, it->second);
  }
  return it->second;
}

Tensor PthFile::read(const std::string& name, const TorchTensor& t) {
  const std::string record = str(folder_, "data/", t.key);
  const auto it = archive_.sizes().find(record);
  if (it == archive_.sizes().end())
    archive_.fail(str("tensor ", in_quotes(name), ": there is no record ", in_quotes(record)),
                  kDamagedHint);
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(t.storage_elements, t.type->bytes, &bytes) || bytes != it->second)
    archive_.fail(
        str("tensor ", in_quotes(name), ": ", t.storage_elements, " elements ", t.type->stored_as,
            " do not make the ", it->second, " bytes of ", in_quotes(record)),
        kDamagedHint);
  take_memory(name, bytes_of(t.type->dtype, t.shape.numel()));
  Tensor tensor;
  if (t.is_whole_storage() && t.type->bytes == bytes_of(t.type->dtype, 1)) {
    tensor = Tensor::empty(t.shape, t.type->dtype);
    archive_.read(record, {tensor.raw(), tensor.bytes()});
  } else {
    if (!storages_.contains(record)) take_memory(name, bytes);
    tensor = gather(t, storage(record, bytes));
  }
  return t.type->quantized ? with_qparams(name, t, tensor) : tensor;
}

Tensor PthFile::with_qparams(const std::string& name, const TorchTensor& t, const Tensor& codes) {
  const bool is_signed = t.type->dtype == DType::s8;
  std::vector<double> scales = {t.scale};
  std::vector<int64_t> zero_points = {t.zero_point};
  if (t.axis >= 0) {
    const Tensor s = read(name, t.channels[0]), z = read(name, t.channels[1]);
    if (s.dtype() == DType::f32)
      scales.assign(s.data<float>(), s.data<float>() + s.numel());
    else
      scales.assign(s.data<double>(), s.data<double>() + s.numel());
    zero_points.assign(z.data<int64_t>(), z.data<int64_t>() + z.numel());
  }
  QParams p{{}, {}, t.axis, is_signed ? -128 : 0, is_signed ? 127 : 255};
  for (size_t i = 0; i < scales.size(); ++i) {
    p.scale.push_back(static_cast<float>(scales[i]));
    if (!(p.scale[i] > 0) || !std::isfinite(p.scale[i]))
      archive_.fail(str("tensor ", in_quotes(name), ": scale ", scales[i], " of channel ", i,
                        " is not positive and finite"),
                    "");
    if (zero_points[i] < p.qmin || zero_points[i] > p.qmax)
      archive_.fail(str("tensor ", in_quotes(name), ": zero point ", zero_points[i], " of channel ",
                        i, " is outside [", p.qmin, ",", p.qmax, "]"),
                    "");
    p.zero_point.push_back(static_cast<int32_t>(zero_points[i]));
  }
  return codes.with_qparams(std::move(p));
}

}  // namespace stair::apps
