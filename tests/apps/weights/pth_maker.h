// Files in torch's zip form, right and wrong ones, made byte by byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.h"

namespace stair::apps::pth {

struct ZipRecord {
  std::string name, data;
  // What the headers say, where it is not true.
  std::optional<uint64_t> size = {}, packed_size = {};
  std::string central_name = {};
  uint16_t method = 0;
  bool at_record_before = false;  // the directory leads to the record before
  uint64_t hole = 0;              // zeros that follow the data and belong to it; not on the disk
};
// Writes them in that order. Archives with a hole are zip64.
void write_zip(const std::string& path, const std::vector<ZipRecord>& records);
uint32_t crc32(const std::string& bytes);

// The path of a file that torch wrote.
std::string torch_file(const std::string& name);

// Operations of a pickle; each text leaves one value on the stack.
std::string text(const std::string& value);
std::string integer(int64_t value);
std::string real(double value);
std::string tuple(const std::vector<std::string>& values);
std::string dict(const std::vector<std::pair<std::string, std::string>>& items);
std::string global(const std::string& module, const std::string& name);
std::string call(const std::string& function, const std::vector<std::string>& arguments);
std::string storage(const std::string& type, const std::string& key, int64_t elements,
                    const std::string& place = "cpu");
std::string tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& size,
                   const std::vector<int64_t>& strides);
// `quantizer` is (scheme, scale, zero point) or (scheme, scales, zero points, axis).
std::string quantized_tensor(const std::string& storage, const std::vector<int64_t>& size,
                             const std::vector<std::string>& quantizer);
// The whole stream.
std::string pickle(const std::string& value);

// The records of a file: data.pkl, byteorder, data/0, data/1, ...
std::vector<ZipRecord> records(const std::string& stream, const std::vector<std::string>& storages);
// Writes f32 and s64 tensors as torch.save(dict) does. `wrap` gets the pickled dictionary.
void write_pth(const std::string& path, std::span<const NamedTensor> tensors,
               const std::string& prefix = "", std::string (*wrap)(const std::string&) = nullptr);

}  // namespace stair::apps::pth
