// The sources of the project, as the lints see them.
#pragma once

#include <string>
#include <vector>

namespace stair::lint {

struct SourceFile {
  std::string path;  // from the root, with '/'
  std::vector<std::string> lines;

  bool is_header() const { return path.ends_with(".h"); }
  bool is_unit() const { return path.ends_with(".cpp") || path.ends_with(".cu"); }
  bool is_code() const { return is_header() || is_unit() || path.ends_with(".inc"); }
  // "kernels" of kernels/conv/conv.h; empty for a file in the root.
  std::string folder() const;
  // "conv" of kernels/conv/conv.h.
  std::string stem() const;
};

// A file made of text, for the tests of the lints.
SourceFile source(std::string path, const std::string& text);

// Every file below the folders of the project, and CMakeLists.txt.
const std::vector<SourceFile>& project();

// What a lint complains about: "path:line: what". Empty when all is well.
using Complaints = std::vector<std::string>;

// The complaints as one text, one a line.
std::string text_of(const Complaints& complaints);

}  // namespace stair::lint
