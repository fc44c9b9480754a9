// Who may include whom: the table of the README.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/error.h"
#include "tests/lint/source_tree.h"

namespace stair::lint {
namespace {

using Folders = std::set<std::string>;

// "contract" stands for kernels/registry.h and kernels/<family>/<family>.h.
const std::map<std::string, Folders> kMayInclude = {
    {"core", {"core"}},
    {"kernels", {"kernels", "core"}},
    {"cuda", {"cuda", "core", "contract"}},
    {"autograd", {"autograd", "core", "contract"}},
    {"nn", {"nn", "autograd", "core"}},
    {"qat", {"qat", "nn", "autograd", "core", "contract"}},
    {"data", {"data", "core"}},
    {"apps", {"apps", "qat", "nn", "autograd", "data", "core"}},
};

bool is_contract(const SourceFile& included) {
  return included.path == "kernels/registry.h" ||
         included.path == "kernels/" + included.stem() + "/" + included.stem() + ".h";
}

// The path that the line includes in quotes; empty for other lines and for generated tables, which
// have no folder.
std::string included_path(const std::string& line) {
  if (!line.starts_with("#include \"")) return "";
  const size_t start = line.find('"') + 1;
  const std::string path = line.substr(start, line.find('"', start) - start);
  return path.find('/') == std::string::npos ? "" : path;
}

Complaints wrong_includes(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files) {
    const auto rule = kMayInclude.find(file.folder());
    if (rule == kMayInclude.end() || !file.is_code()) continue;
    for (size_t i = 0; i < file.lines.size(); ++i) {
      const SourceFile included = source(included_path(file.lines[i]), "");
      if (included.path.empty() || rule->second.contains(included.folder())) continue;
      if (rule->second.contains("contract") && is_contract(included)) continue;
      complaints.push_back(
          str(file.path, ":", i + 1, ": ", file.folder(), " may not include ", included.path));
    }
  }
  return complaints;
}

// Headers of CUDA elsewhere than in cuda/.
Complaints cuda_includes(const std::vector<SourceFile>& files) {
  Complaints complaints;
  for (const SourceFile& file : files)
    for (size_t i = 0; i < file.lines.size(); ++i)
      if (file.folder() != "cuda" && file.is_code() && file.lines[i].starts_with("#include <cuda"))
        complaints.push_back(str(file.path, ":", i + 1, ": headers of CUDA belong into cuda/"));
  return complaints;
}

TEST(Includes, FollowTheTableOfFolders) {
  EXPECT_EQ(text_of(wrong_includes(project())), "");
}

TEST(Includes, OfCudaStayInItsFolder) {
  EXPECT_EQ(text_of(cuda_includes(project())), "");
  const std::string line = std::string("#include ") + "<cuda_runtime_api.h>";
  EXPECT_EQ(cuda_includes({source("cuda/x.cpp", line)}).size(), 0U);
  EXPECT_EQ(cuda_includes({source("nn/x.cpp", line), source("tests/x.h", line)}).size(), 2U);
}

TEST(Includes, OfALowerFolderFromAHigherOneAreFound) {
  const auto count = [](const char* path, const char* line) {
    return wrong_includes({source(path, line)}).size();
  };
  EXPECT_EQ(count("core/x.cpp", "#include \"nn/module.h\""), 1U);
  EXPECT_EQ(count("nn/x.h", "#include \"kernels/conv/conv.h\""), 1U);
  EXPECT_EQ(count("autograd/x.cpp", "#include \"kernels/conv/conv.h\""), 0U);
  EXPECT_EQ(count("autograd/x.cpp", "#include \"kernels/conv/igemm.h\""), 1U);
  EXPECT_EQ(count("data/x.cpp", "#include \"kernels/registry.h\""), 1U);
  EXPECT_EQ(count("apps/x.cpp", "#include \"kernels/registry.h\""), 1U);
  EXPECT_EQ(count("apps/x.cpp", "#include \"data/loader.h\""), 0U);
  EXPECT_EQ(count("kernels/a/a_ref.cpp", "#include \"kernels/simd/f32.h\"\n#include <vector>"), 0U);
  EXPECT_EQ(count("cuda/x.cu", "#include \"kernels/norm/norm.h\""), 0U);
  EXPECT_EQ(count("cuda/x.cu", "#include \"kernels/norm/batch_norm.h\""), 1U);
  EXPECT_EQ(count("kernels/registry.cpp", "#include \"kernel_files.inc\""), 0U);
  EXPECT_EQ(count("tests/core/x_test.cpp", "#include \"apps/program/options.h\""), 0U);
}

}  // namespace
}  // namespace stair::lint
