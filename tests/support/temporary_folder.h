// A folder for the files of one test.
#pragma once

#include <string>
#include <string_view>

namespace stair::support {

// Made on construction, removed with its content at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  // The path of a file in it.
  std::string operator/(std::string_view name) const;
  // Writes a file in it, without waiting for the disk, and returns its path.
  std::string put(std::string_view name, std::string_view bytes) const;

 private:
  std::string path_;
};

}  // namespace stair::support
