#include "core/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "core/atomic_file.h"
#include "core/file.h"
#include "core/half.h"
#include "core/json.h"
#include "core/text.h"

namespace stair {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMostHeaderBytes = 100'000'000;
constexpr size_t kMostDimensions = 32;
constexpr size_t kMostListed = 10;
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kDamaged = "the file is damaged or was not fetched whole";

struct StoredType {
  const char* name;
  uint64_t bytes;  // of an element in the file
  DType dtype;     // in memory
};
constexpr StoredType kStoredTypes[] = {
    {"F32", 4, DType::f32}, {"F64", 8, DType::f64}, {"U8", 1, DType::u8},
    {"I8", 1, DType::s8},   {"I32", 4, DType::s32}, {"I64", 8, DType::s64},
    {"BOOL", 1, DType::u8}, {"F16", 2, DType::f32}, {"BF16", 2, DType::f32},
};

struct Span {
  std::string name;
  const StoredType* type;
  Shape shape;
  uint64_t begin, end;  // in the bytes after the header
};

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path, FileUse::model) { result_.path = path; }

  SafeTensors read() {
    read_header();
    std::stable_sort(spans_.begin(), spans_.end(), [](const Span& a, const Span& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    check_cover();
    for (Span& span : spans_) {
      Tensor tensor = load(span);
      result_.tensors.push_back({std::move(span.name), std::move(tensor), span.type->name});
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason, std::string hint = "") const {
    throw FormatError(str("cannot read ", path_in_quotes(file_.path()), ": ", reason),
                      std::move(hint));
  }
  [[noreturn]] void fail_tensor(std::string_view tensor, const std::string& reason) const {
    fail(str("tensor ", in_quotes(tensor), ": ", reason), kDamaged);
  }

  void read_header() {
    if (file_.size() < kLengthBytes)
      fail(str("it has ", file_.size(), " bytes, a safetensors file has at least 8"), kDamaged);
    uint64_t length = 0;
    file_.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
    if (length > kMostHeaderBytes)
      fail(str("its header would have ", length, " bytes, at most ", kMostHeaderBytes,
               " are allowed"),
           "is it a safetensors file?");
    if (length > file_.size() - kLengthBytes)
      fail(str("its header of ", length, " bytes goes beyond the end at byte ", file_.size()),
           kDamaged);
    data_begin_ = kLengthBytes + length;
    std::string text(length, '\0');
    file_.read_at(kLengthBytes, std::as_writable_bytes(std::span(text)));
    if (!text.starts_with('{')) fail("its header does not begin with '{'", kDamaged);
    const Json header =
        parse_json(text, str("cannot read ", path_in_quotes(file_.path()), ": header"));
    for (const auto& [name, value] : header.as_object()) {
      if (name == kMetadata)
        read_metadata(value);
      else
        read_entry(name, value, header);
    }
  }

  void read_metadata(const Json& json) {
    if (!json.is_object()) fail(str(kMetadata, " is no object but ", json.type_name()));
    for (const auto& [key, value] : json.as_object()) {
      if (!value.is_string())
        fail(str(kMetadata, " entry ", in_quotes(key), " is no string but ", value.type_name()));
      result_.metadata[key] = value.as_string();
    }
  }

  void read_entry(const std::string& name, const Json& json, const Json& header) {
    if (!json.is_object()) fail_tensor(name, str("an object was expected, not ", json.type_name()));
    for (const auto& [key, value] : json.as_object())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail_tensor(name, str("unknown key ", in_quotes(key)));
    const Json& offsets = array_of(name, json, "data_offsets");
    if (offsets.size() != 2)
      fail_tensor(name, str("data_offsets has ", offsets.size(), " numbers, not 2"));
    Span span{name, type_of(name, json, header), shape_of(name, json),
              integer(name, offsets.at(size_t{0}), "data_offsets"),
              integer(name, offsets.at(1), "data_offsets")};
    if (span.end < span.begin)
      fail_tensor(name, str("data_offsets ", span.begin, " to ", span.end, " run backwards"));
    const std::optional<uint64_t> bytes = bytes_of_span(span);
    if (!bytes) fail_tensor(name, str("shape ", span.shape, " has more than 2^63 bytes"));
    if (span.end - span.begin != *bytes)
      fail_tensor(name, str("shape ", span.shape, " ", span.type->name, " takes ", *bytes,
                            " bytes, data_offsets span ", span.end - span.begin));
    spans_.push_back(std::move(span));
  }

  const Json& member(const std::string& name, const Json& json, const char* key) const {
    const Json* value = json.find(key);
    if (value == nullptr) fail_tensor(name, str("it has no ", key));
    return *value;
  }

  const Json& array_of(const std::string& name, const Json& json, const char* key) const {
    const Json& value = member(name, json, key);
    if (!value.is_array()) fail_tensor(name, str(key, " is no array but ", value.type_name()));
    return value;
  }

  // Integers of the header must be whole, not negative and below 2^63.
  uint64_t integer(const std::string& name, const Json& json, const char* key) const {
    if (!json.is_integer() || json.as_double() < 0 || json.as_uint() > INT64_MAX)
      fail_tensor(name, str(key, " holds ", printable(json.dump(), 40),
                            " where an integer from 0 to 2^63 - 1 is needed"));
    return json.as_uint();
  }

  const StoredType* type_of(const std::string& name, const Json& json, const Json& header) const {
    const Json& value = member(name, json, "dtype");
    if (!value.is_string()) fail_tensor(name, str("dtype is no string but ", value.type_name()));
    for (const StoredType& type : kStoredTypes)
      if (value.as_string() == type.name) return &type;
    std::vector<std::string> others;
    for (const auto& [other, ignored] : header.as_object())
      if (other != name && other != kMetadata) others.push_back(other);
    std::string known;
    for (const StoredType& type : kStoredTypes) known += str(known.empty() ? "" : ", ", type.name);
    fail(str("tensor ", in_quotes(name), " has dtype ", in_quotes(value.as_string()),
             ", known are ", known,
             "; the other tensors: ", others.empty() ? "none" : join(others, ", ", kMostListed)),
         "convert that tensor, or leave it out of the file");
  }

  Shape shape_of(const std::string& name, const Json& json) const {
    const Json& dims = array_of(name, json, "shape");
    if (dims.size() > kMostDimensions)
      fail_tensor(name, str(dims.size(), " dimensions, at most ", kMostDimensions, " are allowed"));
    std::vector<int64_t> shape;
    for (const Json& dim : dims.as_array())
      shape.push_back(static_cast<int64_t>(integer(name, dim, "shape")));
    return Shape(std::move(shape));
  }

  // Nothing when it passes 2^63. Zeros are left out of that test, so that no product of some
  // dimensions can wrap later.
  static std::optional<uint64_t> bytes_of_span(const Span& span) {
    int64_t product = static_cast<int64_t>(std::max<uint64_t>(span.type->bytes, 4));
    for (const int64_t dim : span.shape.dims())
      if (dim != 0 && __builtin_mul_overflow(product, dim, &product)) return std::nullopt;
    return static_cast<uint64_t>(span.shape.numel()) * span.type->bytes;
  }

  // The spans, in order, must cover the bytes after the header once each.
  void check_cover() const {
    uint64_t covered = 0;
    const Span* before = nullptr;
    for (const Span& span : spans_) {
      if (span.begin > covered)
        fail_tensor(span.name,
                    str("bytes ", covered, " to ", span.begin, " before it belong to no tensor"));
      if (span.begin < covered)
        fail_tensor(span.name,
                    str("it shares bytes ", span.begin, " to ", std::min(covered, span.end),
                        " with tensor ", in_quotes(before->name)));
      covered = span.end;
      before = &span;
    }
    const uint64_t present = file_.size() - data_begin_;
    if (covered > present)
      fail_tensor(before->name,
                  str("it ends at byte ", covered, " of the data, which has ", present));
    if (covered < present) fail(str(present - covered, " bytes follow the last tensor"), kDamaged);
  }

  Tensor load(const Span& span) const {
    Tensor tensor = Tensor::empty(span.shape, span.type->dtype);
    const bool wide = span.type->bytes == tensor.element_size();
    const uint64_t from = data_begin_ + span.begin;
    if (wide)
      file_.read_at(from, {tensor.raw(), tensor.bytes()});
    else
      load_half(from, span.type->name[0] == 'B' ? bfloat16_to_float : half_to_float, tensor);
    return tensor;
  }

  void load_half(uint64_t from, float (*convert)(uint16_t), const Tensor& tensor) const {
    constexpr int64_t kPart = 16384;
    std::vector<uint16_t> part(static_cast<size_t>(std::min(kPart, tensor.numel())));
    float* out = tensor.data<float>();
    for (int64_t done = 0; done < tensor.numel(); done += kPart) {
      const std::span<uint16_t> now(part.data(),
                                    static_cast<size_t>(std::min(kPart, tensor.numel() - done)));
      file_.read_at(from + static_cast<uint64_t>(done) * 2, std::as_writable_bytes(now));
      for (const uint16_t bits : now) *out++ = convert(bits);
    }
  }

  InputFile file_;
  SafeTensors result_;
  uint64_t data_begin_ = 0;
  std::vector<Span> spans_;
};

const char* stored_name(const NamedTensor& named) {
  if (named.tensor.defined())
    for (const StoredType& type : kStoredTypes)
      if (named.tensor.dtype() == type.dtype) return type.name;
  throw DTypeError(str("write_safetensors: tensor ", in_quotes(named.name), " is ", named.tensor,
                       ", which the format cannot hold"));
}

void check_names(std::span<const NamedTensor> tensors) {
  std::vector<std::string_view> names;
  for (const NamedTensor& named : tensors) names.push_back(named.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw FormatError(str("write_safetensors: two tensors are called ", in_quotes(*twice)));
  if (std::binary_search(names.begin(), names.end(), kMetadata))
    throw FormatError(str("write_safetensors: the name ", kMetadata, " is taken by the format"));
}

std::string header_of(std::span<const NamedTensor> tensors,
                      const std::map<std::string, std::string>& metadata) {
  Json::Object header;
  if (!metadata.empty()) {
    Json::Object texts;
    for (const auto& [key, value] : metadata) texts.emplace_back(key, value);
    header.emplace_back(kMetadata, Json::from_object(std::move(texts)));
  }
  uint64_t end = 0;
  for (const NamedTensor& named : tensors) {
    Json shape = Json::array();
    for (const int64_t dim : named.tensor.shape().dims()) shape.push_back(dim);
    Json entry = Json::object();
    entry.set("dtype", stored_name(named)).set("shape", std::move(shape));
    const uint64_t begin = end;
    end += named.tensor.bytes();
    entry.set("data_offsets", Json().push_back(begin).push_back(end));
    header.emplace_back(named.name, std::move(entry));
  }
  std::string text = Json::from_object(std::move(header)).dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMostHeaderBytes)
    throw FormatError(str("write_safetensors: a header of ", text.size(), " bytes, at most ",
                          kMostHeaderBytes, " are allowed"));
  return text;
}

}  // namespace

const Tensor* SafeTensors::find(std::string_view name) const {
  for (const Entry& entry : tensors)
    if (entry.name == name) return &entry.tensor;
  return nullptr;
}

const Tensor& SafeTensors::at(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  std::vector<std::string> names;
  for (const Entry& entry : tensors) names.push_back(entry.name);
  throw FormatError(str(path_in_quotes(path), " has no tensor ", in_quotes(name)),
                    did_you_mean(name, names));
}

SafeTensors read_safetensors(const std::string& path) {
  return Reader(path).read();
}

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  check_names(tensors);
  const std::string header = header_of(tensors, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const NamedTensor& named : tensors) file.write({named.tensor.raw(), named.tensor.bytes()});
  file.commit();
}

}  // namespace stair
