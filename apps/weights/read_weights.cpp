#include "apps/weights/read_weights.h"

#include <algorithm>

#include "apps/weights/pth_file.h"
#include "core/file.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr size_t kTarMagicAt = 257;

std::string first_bytes(const std::string& path) {
  const InputFile file(path, FileUse::model);
  std::string bytes(std::min<uint64_t>(file.size(), kTarMagicAt + 5), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

}  // namespace

nn::Weights read_weights(const std::string& path, const std::string& key) {
  const std::string bytes = first_bytes(path);
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06"))
    return PthFile(path).weights(key);
  // A safetensors file may begin with the same bytes, which are a length there.
  const bool pickle = bytes.size() > 1 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5 &&
                      bytes.substr(0, 9).back() != '{';
  if (pickle || bytes.ends_with("ustar"))
    throw FormatError(
        str("cannot read ", path_in_quotes(path), ": it is ",
            pickle ? "a bare pickle" : "a tar file", ", as torch.save wrote before version 1.6"),
        "in Python: torch.save(torch.load(FILE, weights_only=True), NEW)");
  if (!key.empty())
    throw ConfigError(str("--weights-key ", in_quotes(key), " needs a .pth file, ",
                          path_in_quotes(path), " is none"),
                      "");
  return nn::read_weights(path);
}

}  // namespace stair::apps
