#include "apps/weights/torch_tensor.h"

#include <algorithm>
#include <cstring>

#include "core/half.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr TorchType kTypes[] = {
    {"FloatStorage", "F32", 4, DType::f32},      {"DoubleStorage", "F64", 8, DType::f64},
    {"ByteStorage", "U8", 1, DType::u8},         {"CharStorage", "I8", 1, DType::s8},
    {"IntStorage", "I32", 4, DType::s32},        {"LongStorage", "I64", 8, DType::s64},
    {"BoolStorage", "BOOL", 1, DType::u8},       {"HalfStorage", "F16", 2, DType::f32},
    {"BFloat16Storage", "BF16", 2, DType::f32},  {"QInt8Storage", "I8", 1, DType::s8, true},
    {"QUInt8Storage", "U8", 1, DType::u8, true},
};
constexpr size_t kMostDimensions = 32;
// A parameter is a call round a tensor; more than one round the other is made to mislead.
constexpr int kMostNested = 2;

// Arguments of the call, checked as they are asked for. The first fault stays as `reason`.
class Reader {
 public:
  Reader(const Pickle& pickle, std::string& reason) : pickle_(pickle), reason_(reason) {}

  bool read(const PickleValue& call, int nested, TorchTensor& out) {
    const std::string_view function = pickle_[call.items[0]].text;
    const PickleValue& arguments = pickle_[call.items[1]];
    if (function == "torch._utils\n_rebuild_parameter" ||
        function == "torch._utils\n_rebuild_parameter_with_state") {
      const PickleValue* data = argument(arguments, 0, PickleKind::call, "data");
      return data != nullptr && (nested < kMostNested || fail("a parameter of parameters")) &&
             read(*data, nested + 1, out);
    }
    const bool quantized = function == "torch._utils\n_rebuild_qtensor";
    if (quantized && nested == kMostNested) return fail("a quantized tensor in another");
    if (!quantized && function != "torch._utils\n_rebuild_tensor_v2" &&
        function != "torch._utils\n_rebuild_tensor")
      return fail(str("made by ", dotted(pickle_[call.items[0]]),
                      "; dense tensors alone can be read (no sparse, complex or meta ones)"));
    const PickleValue* storage = argument(arguments, 0, PickleKind::persistent, "a storage");
    const PickleValue* offset = argument(arguments, 1, PickleKind::integer, "an offset");
    const PickleValue* size = argument(arguments, 2, PickleKind::tuple, "a size");
    const PickleValue* stride = argument(arguments, 3, PickleKind::tuple, "strides");
    if (storage == nullptr || offset == nullptr || size == nullptr || stride == nullptr)
      return false;
    std::vector<int64_t> dims;
    if (!read_storage(pickle_[storage->items[0]], out) || !numbers(*size, "its size", dims) ||
        !numbers(*stride, "its strides", out.strides))
      return false;
    out.offset = offset->integer;
    out.shape = Shape(std::move(dims));
    if (out.type->quantized != quantized)
      return fail(str("made by ", dotted(pickle_[call.items[0]]), " of a storage ",
                      out.type->storage, ", which does not fit"));
    return check_view(out) && (!quantized || read_quantizer(arguments, out));
  }

 private:
  bool fail(std::string reason) {
    if (reason_.empty()) reason_ = std::move(reason);
    return false;
  }

  const PickleValue* argument(const PickleValue& arguments, size_t i, PickleKind kind,
                              const char* what) {
    if (i < arguments.items.size() && pickle_[arguments.items[i]].kind == kind)
      return &pickle_[arguments.items[i]];
    fail(str("argument ", i, " is no ", what));
    return nullptr;
  }

  // (torch.per_tensor_affine, scale, zero point) or
  // (torch.per_channel_affine, scales, zero points, axis).
  bool read_quantizer(const PickleValue& arguments, TorchTensor& out) {
    const PickleValue* tuple = argument(arguments, 4, PickleKind::tuple, "quantizer");
    if (tuple == nullptr) return false;
    const PickleValue* scheme = argument(*tuple, 0, PickleKind::global, "quantization scheme");
    if (scheme == nullptr) return false;
    if (scheme->text == "torch\nper_tensor_affine") {
      const PickleValue* scale = argument(*tuple, 1, PickleKind::real, "scale");
      const PickleValue* zero_point = argument(*tuple, 2, PickleKind::integer, "zero point");
      if (scale == nullptr || zero_point == nullptr) return false;
      out.scale = scale->real;
      out.zero_point = zero_point->integer;
      return true;
    }
    if (scheme->text != "torch\nper_channel_affine")
      return fail(str("its quantization is ", dotted(*scheme),
                      ", readable are torch.per_tensor_affine and torch.per_channel_affine"));
    const PickleValue* axis = argument(*tuple, 3, PickleKind::integer, "axis");
    if (axis == nullptr) return false;
    const int64_t rank = static_cast<int64_t>(out.strides.size());
    if (axis->integer < 0 || axis->integer >= rank)
      return fail(str("its scales lie along dimension ", axis->integer, " of ", out.shape));
    out.axis = static_cast<int>(axis->integer);
    for (size_t i = 1; i <= 2; ++i) {
      const PickleValue* values = argument(*tuple, i, PickleKind::call, "tensor of the quantizer");
      TorchTensor part;
      if (values == nullptr || !read(*values, kMostNested, part)) return false;
      const bool fits = i == 1 ? part.type->dtype == DType::f64 || part.type->dtype == DType::f32
                               : part.type->dtype == DType::s64;
      if (!fits || part.shape != Shape{out.shape[out.axis]})
        return fail(str("its ", i == 1 ? "scales" : "zero points", " are ", part.type->stored_as,
                        " ", part.shape, " for ", out.shape[out.axis], " channels"));
      out.channels.push_back(std::move(part));
    }
    return true;
  }

  // ("storage", class, key, location, elements); the location is where it was, not where it goes.
  bool read_storage(const PickleValue& id, TorchTensor& out) {
    const auto member = [&](size_t i, PickleKind kind) -> const PickleValue* {
      if (i >= id.items.size() || pickle_[id.items[i]].kind != kind) return nullptr;
      return &pickle_[id.items[i]];
    };
    const PickleValue *tag = member(0, PickleKind::text), *type = member(1, PickleKind::global),
                      *key = member(2, PickleKind::text), *count = member(4, PickleKind::integer);
    if (tag == nullptr || tag->text != "storage" || type == nullptr || key == nullptr ||
        count == nullptr || count->integer < 0)
      return fail("its storage is not described as torch does it");
    out.key = key->text;
    out.storage_elements = static_cast<uint64_t>(count->integer);
    const std::string_view class_name = type->text.substr(type->text.find('\n') + 1);
    for (const TorchType& known : kTypes)
      if (class_name == known.storage && type->text.starts_with("torch")) out.type = &known;
    if (out.type == nullptr)
      return fail(str(
          "its values are of ", dotted(*type),
          ", readable are float, double, half, bfloat16, (u)int8, int32, int64, bool, q(u)int8"));
    return true;
  }

  bool numbers(const PickleValue& tuple, const char* what, std::vector<int64_t>& out) {
    if (tuple.items.size() > kMostDimensions)
      return fail(str(what, " has ", tuple.items.size(), " dimensions, at most ", kMostDimensions,
                      " are allowed"));
    for (const uint32_t item : tuple.items) {
      const PickleValue& value = pickle_[item];
      if (value.kind != PickleKind::integer || value.integer < 0)
        return fail(str(what, " holds what is no integer from 0 on"));
      out.push_back(value.integer);
    }
    return true;
  }

  // Every element must lie in the storage, and no product may wrap.
  bool check_view(const TorchTensor& t) {
    if (t.strides.size() != t.shape.dims().size())
      return fail(str(t.strides.size(), " strides for the shape ", t.shape));
    if (t.offset < 0) return fail(str("its offset is ", t.offset));
    const auto beyond = [&] {
      return fail(str("shape ", t.shape, " at offset ", t.offset, " reaches beyond its storage of ",
                      t.storage_elements, " elements"));
    };
    int64_t bytes = 8, last = t.offset, step = 0;
    for (size_t i = 0; i < t.strides.size(); ++i) {
      const int64_t dim = t.shape.dims()[i];
      if (dim == 0) continue;
      if (__builtin_mul_overflow(bytes, dim, &bytes) ||
          __builtin_mul_overflow(dim - 1, t.strides[i], &step) ||
          __builtin_add_overflow(last, step, &last))
        return beyond();
    }
    const uint64_t needed =
        t.shape.numel() == 0 ? static_cast<uint64_t>(t.offset) : static_cast<uint64_t>(last) + 1;
    return needed <= t.storage_elements || beyond();
  }

  const Pickle& pickle_;
  std::string& reason_;
};

template <class From, class To, class Convert>
void gather_as(const TorchTensor& t, const std::byte* from, To* out, Convert convert) {
  const std::vector<int64_t>& dims = t.shape.dims();
  std::vector<int64_t> index(dims.size(), 0);
  int64_t at = t.offset;
  for (int64_t n = t.shape.numel(); n > 0; --n) {
    From value;
    std::memcpy(&value, from + static_cast<size_t>(at) * sizeof(From), sizeof(From));
    *out++ = convert(value);
    for (size_t d = dims.size(); d-- > 0;) {
      at += t.strides[d];
      if (++index[d] < dims[d]) break;
      at -= t.strides[d] * dims[d];
      index[d] = 0;
    }
  }
}

}  // namespace

bool TorchTensor::is_whole_storage() const {
  if (offset != 0 || static_cast<uint64_t>(shape.numel()) != storage_elements) return false;
  int64_t expected = 1;
  for (size_t d = strides.size(); d-- > 0;) {
    const int64_t dim = shape.dims()[d];
    if (dim != 1 && strides[d] != expected) return false;
    expected *= dim;
  }
  return true;
}

bool is_tensor(const Pickle& pickle, const PickleValue& value) {
  if (value.kind != PickleKind::call) return false;
  const std::string_view name = pickle[value.items[0]].text;
  return name.starts_with("torch._utils\n_rebuild") || name.starts_with("torch._tensor\n_rebuild");
}

TorchTensorOrReason torch_tensor(const Pickle& pickle, const PickleValue& value) {
  TorchTensorOrReason out;
  TorchTensor tensor;
  if (Reader(pickle, out.reason).read(value, 0, tensor)) out.tensor = std::move(tensor);
  return out;
}

Tensor gather(const TorchTensor& t, std::span<const std::byte> storage) {
  Tensor out = Tensor::empty(t.shape, t.type->dtype);
  const auto as_is = [](auto value) { return value; };
  if (t.type->bytes == 2) {
    const auto convert = t.type->stored_as[0] == 'B' ? bfloat16_to_float : half_to_float;
    gather_as<uint16_t>(t, storage.data(), out.data<float>(), convert);
  } else if (t.type->bytes == 1) {
    gather_as<std::byte>(t, storage.data(), out.raw(), as_is);
  } else if (t.type->bytes == 4) {
    gather_as<uint32_t>(t, storage.data(), reinterpret_cast<uint32_t*>(out.raw()), as_is);
  } else {
    gather_as<uint64_t>(t, storage.data(), reinterpret_cast<uint64_t*>(out.raw()), as_is);
  }
  return out;
}

}  // namespace stair::apps
