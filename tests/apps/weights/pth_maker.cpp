#include "tests/apps/weights/pth_maker.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

namespace stair::apps::pth {
namespace {

constexpr uint32_t kSeeExtra = 0xffffffff;

template <class T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string u16(uint64_t value) {
  return bytes_of(static_cast<uint16_t>(value));
}
std::string u32(uint64_t value) {
  return bytes_of(static_cast<uint32_t>(value));
}
std::string u64(uint64_t value) {
  return bytes_of(value);
}

// The fields that local header and directory share, from "version needed" on.
std::string shared_fields(const ZipRecord& r, bool wide, const std::string& name,
                          size_t extra_bytes) {
  const uint64_t real = r.data.size() + r.hole, size = r.size.value_or(real),
                 packed = r.packed_size.value_or(real);
  return u16(wide ? 45 : 20) + u16(0) + u16(r.method) + u16(0) + u16(0x21) + u32(crc32(r.data)) +
         u32(wide ? kSeeExtra : packed) + u32(wide ? kSeeExtra : size) + u16(name.size()) +
         u16(extra_bytes);
}

std::string wide_extra(const ZipRecord& r, std::optional<uint64_t> offset) {
  const uint64_t real = r.data.size() + r.hole;
  std::string fields = u64(real) + u64(real);
  if (offset) fields += u64(*offset);
  return u16(1) + u16(fields.size()) + fields;
}

std::string directory_entry(const ZipRecord& r, bool wide, uint64_t offset) {
  const std::string name = r.central_name.empty() ? r.name : r.central_name,
                    extra = wide ? wide_extra(r, offset) : "";
  return std::string("PK\x01\x02") + u16(45) + shared_fields(r, wide, name, extra.size()) + u16(0) +
         u16(0) + u16(0) + u32(0) + u32(wide ? kSeeExtra : offset) + name + extra;
}

}  // namespace

uint32_t crc32(const std::string& bytes) {
  uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
  }
  return ~crc;
}

void write_zip(const std::string& path, const std::vector<ZipRecord>& records) {
  bool wide = false;
  for (const ZipRecord& r : records) wide = wide || r.hole > 0;
  std::remove(path.c_str());  // file systems wait for the disk when a file is cut and written anew
  std::ofstream out(path, std::ios::binary);
  std::string directory;
  uint64_t offset = 0, before = 0;
  for (const ZipRecord& r : records) {
    if (!r.at_record_before) {
      before = offset;
      const std::string extra = wide ? wide_extra(r, {}) : "";
      out << "PK\x03\x04" << shared_fields(r, wide, r.name, extra.size()) << r.name << extra
          << r.data;
      out.seekp(static_cast<std::streamoff>(r.hole), std::ios::cur);
      offset = static_cast<uint64_t>(out.tellp());
    }
    directory += directory_entry(r, wide, before);
  }
  out << directory;
  if (wide)
    out << "PK\x06\x06" << u64(44) << u16(45) << u16(45) << u32(0) << u32(0) << u64(records.size())
        << u64(records.size()) << u64(directory.size()) << u64(offset) << "PK\x06\x07" << u32(0)
        << u64(offset + directory.size()) << u32(1);
  out << "PK\x05\x06" << u32(0) << u16(records.size()) << u16(records.size())
      << u32(directory.size()) << u32(wide ? kSeeExtra : offset) << u16(0);
}

std::string text(const std::string& value) {
  return std::string("X") + u32(value.size()) + value;
}

std::string integer(int64_t value) {
  return std::string("\x8a\x08") + bytes_of(value);
}

std::string real(double value) {
  std::string out = bytes_of(value);
  std::reverse(out.begin(), out.end());
  return "G" + out;
}

std::string tuple(const std::vector<std::string>& values) {
  std::string out = "(";
  for (const std::string& value : values) out += value;
  return out + "t";
}

std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += text(key) + value;
  return out + "u";
}

std::string global(const std::string& module, const std::string& name) {
  return std::string("c") + module + "\n" + name + "\n";
}

std::string call(const std::string& function, const std::vector<std::string>& arguments) {
  return function + tuple(arguments) + "R";
}

std::string storage(const std::string& type, const std::string& key, int64_t elements,
                    const std::string& place) {
  return tuple(
             {text("storage"), global("torch", type), text(key), text(place), integer(elements)}) +
         "Q";
}

namespace {

std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> parts;
  for (const int64_t value : values) parts.push_back(integer(value));
  return tuple(parts);
}

std::vector<int64_t> dense_strides(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size(), 1);
  for (size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

}  // namespace

std::string tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& size,
                   const std::vector<int64_t>& strides) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              {storage, integer(offset), integers(size), integers(strides), "\x89",
               call(global("collections", "OrderedDict"), {})});
}

std::string quantized_tensor(const std::string& storage, const std::vector<int64_t>& size,
                             const std::vector<std::string>& quantizer) {
  return call(global("torch._utils", "_rebuild_qtensor"),
              {storage, integer(0), integers(size), integers(dense_strides(size)), tuple(quantizer),
               "\x89", call(global("collections", "OrderedDict"), {})});
}

std::string pickle(const std::string& value) {
  return std::string("\x80\x02") + value + ".";
}

std::vector<ZipRecord> records(const std::string& stream,
                               const std::vector<std::string>& storages) {
  std::vector<ZipRecord> out = {{"w/data.pkl", stream}, {"w/byteorder", "little"}};
  for (size_t i = 0; i < storages.size(); ++i)
    out.push_back({"w/data/" + std::to_string(i), storages[i]});
  return out;
}

std::string torch_file(const std::string& name) {
  return std::string(STAIR_SOURCE_DIR) + "/tests/golden/pth/" + name;
}

void write_pth(const std::string& path, std::span<const NamedTensor> tensors,
               const std::string& prefix, std::string (*wrap)(const std::string&)) {
  std::vector<std::pair<std::string, std::string>> items;
  std::vector<std::string> storages;
  for (const NamedTensor& t : tensors) {
    const std::vector<int64_t>& dims = t.tensor.shape().dims();
    const char* type = t.tensor.dtype() == DType::s64 ? "LongStorage" : "FloatStorage";
    items.emplace_back(prefix + t.name,
                       tensor(storage(type, std::to_string(storages.size()), t.tensor.numel()), 0,
                              dims, dense_strides(dims)));
    storages.emplace_back(reinterpret_cast<const char*>(t.tensor.raw()), t.tensor.bytes());
  }
  const std::string value = dict(items);
  write_zip(path, records(pickle(wrap != nullptr ? wrap(value) : value), storages));
}

}  // namespace stair::apps::pth
