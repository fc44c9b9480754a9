#include "tests/support/real_files.h"

#include <cstdlib>
#include <filesystem>

namespace stair::support {
namespace {

std::string existing(const char* variable, const std::string& otherwise, const std::string& name) {
  const char* set = std::getenv(variable);
  const std::string path = (set != nullptr && *set != 0 ? set : otherwise) + "/" + name;
  return std::filesystem::exists(path) ? path : "";
}

}  // namespace

std::string shared_file(const std::string& name) {
  return existing("STAIR_SHARED", STAIR_SOURCE_DIR "/../shared", name);
}

std::string real_pictures(const std::string& set) {
  return existing("STAIR_IMAGES", "/tmp/stair-data", set);
}

}  // namespace stair::support
