#include "tests/support/temporary_folder.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace stair::support {

TemporaryFolder::TemporaryFolder()
    : path_((std::filesystem::temp_directory_path() / "stair-test-XXXXXX").string()) {
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::operator/(std::string_view name) const {
  return (std::filesystem::path(path_) / name).string();
}

std::string TemporaryFolder::put(std::string_view name, std::string_view bytes) const {
  const std::string path = *this / name;
  std::filesystem::remove(path);  // ext4 flushes a file that is cut and written anew
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
  return path;
}

}  // namespace stair::support
