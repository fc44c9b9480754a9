#include "tests/lint/source_tree.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace stair::lint {
namespace {

constexpr const char* kFolders[] = {"core", "kernels", "cuda",  "autograd", "nn",      "qat",
                                    "data", "apps",    "tests", "bench",    "examples"};

std::vector<SourceFile> read_project() {
  namespace fs = std::filesystem;
  const fs::path root = STAIR_SOURCE_DIR;
  std::vector<SourceFile> files;
  const auto add = [&](const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    files.push_back(source(fs::relative(path, root).generic_string(), text.str()));
  };
  add(root / "CMakeLists.txt");
  for (const char* folder : kFolders)
    if (fs::is_directory(root / folder))
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder))
        if (entry.is_regular_file()) add(entry.path());
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

std::string SourceFile::folder() const {
  const size_t slash = path.find('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string SourceFile::stem() const {
  return std::filesystem::path(path).stem().string();
}

SourceFile source(std::string path, const std::string& text) {
  SourceFile file{std::move(path), {}};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) file.lines.push_back(line);
  return file;
}

const std::vector<SourceFile>& project() {
  static const std::vector<SourceFile> files = read_project();
  return files;
}

std::string text_of(const Complaints& complaints) {
  std::string text;
  for (const std::string& complaint : complaints) text += complaint + "\n";
  return text;
}

}  // namespace stair::lint
