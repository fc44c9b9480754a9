// Exported networks in ONNX Runtime, beside what our session computes.
#include <gtest/gtest.h>

#include <cstdlib>

#include "apps/onnx/export.h"
#include "apps/train/trace.h"
#include "core/file.h"
#include "tests/apps/onnx/small_network.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {
namespace {

std::string python() {
  const char* set = std::getenv("STAIR_PEER_PYTHON");
  return set != nullptr && *set != 0 ? set : "python3";
}

bool runs(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

TEST(OnnxRuntime, ComputesTheCodesOfOurSession) {
  if (!runs(python() + " -c 'import onnx, onnxruntime' 2> /dev/null"))
    GTEST_SKIP() << "no Python with onnx and onnxruntime: set STAIR_PEER_PYTHON";
  const support::TemporaryFolder folder;
  std::string pairs;
  for (const char* name : {"resnet20", "resnet18", "mobilenet_v2", "mobilenet_v3_small"}) {
    const qat::Int8Graph graph = small_network(name, 0.5, 32);
    ScoredFile file;
    file.session = std::make_shared<qat::Int8Session>(graph);
    file.network = network_of(*file.session);
    Trace trace(file);
    const std::string path = str(folder / name, ".safetensors");
    trace.write(path, file.network(drawn_pictures(32, 32, 77)));
    for (const OnnxForm form : {OnnxForm::qdq, OnnxForm::qoperator, OnnxForm::exact}) {
      OnnxOptions options;
      options.form = form;
      const std::string onnx = str(folder / name, static_cast<int>(form), ".onnx");
      write_file(onnx, to_onnx(graph, options));
      pairs += str(" '", onnx, "' '", path, '\'');
    }
  }
  EXPECT_TRUE(runs(str(python(), " '" STAIR_SOURCE_DIR "/bench/compare_onnx'", pairs)));
}

}  // namespace
}  // namespace stair::apps
