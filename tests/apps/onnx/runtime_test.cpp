// Exported networks in ONNX Runtime, beside what our session computes.
#include <gtest/gtest.h>

#include <cstdlib>

#include "apps/onnx/export.h"
#include "apps/train/trace.h"
#include "core/file.h"
#include "nn/graph/capture.h"
#include "nn/model.h"
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

TEST(OnnxRuntime, ReadsInt4Weights) {
  if (!runs(python() + " -c 'import onnx, onnxruntime' 2> /dev/null"))
    GTEST_SKIP() << "no Python with onnx and onnxruntime: set STAIR_PEER_PYTHON";
  const support::TemporaryFolder folder;
  const qat::Int8Graph graph = small_network("resnet20", 1, 16, 4);
  ScoredFile file;
  file.session = std::make_shared<qat::Int8Session>(graph);
  file.network = network_of(*file.session);
  Trace trace(file);
  trace.write(folder / "trace", file.network(drawn_pictures(8, 16, 78)));
  OnnxOptions options;
  options.opset = 21;
  options.int4 = true;
  write_file(folder / "int4.onnx", to_onnx(graph, options));
  EXPECT_TRUE(runs(str(python(), " '" STAIR_SOURCE_DIR "/bench/compare_onnx' '",
                       folder / "int4.onnx", "' '", folder / "trace", '\'')));
}

TEST(OnnxRuntime, ComputesTheLogitsOfOurFloatNetworks) {
  if (!runs(python() + " -c 'import onnxruntime' 2> /dev/null"))
    GTEST_SKIP() << "no Python with onnxruntime: set STAIR_PEER_PYTHON";
  const support::TemporaryFolder folder;
  for (const char* name : {"resnet20", "resnet18", "mobilenet_v2", "mobilenet_v3_small"}) {
    const auto model = nn::find_model(name).build({.num_classes = 10, .width = 0.5});
    model->eval();
    const autograd::NoGrad no_grad;
    const Tensor x = drawn_pictures(2, 32, 5), y = (*model)(autograd::Variable(x)).value();
    const nn::Graph graph = nn::capture(*model, autograd::Variable(x));
    write_file(folder / "net.onnx", to_onnx(graph, {}, {}));
    write_file(folder / "x", std::span(x.raw(), x.bytes()));
    write_file(folder / "y", std::span(y.raw(), y.bytes()));
    EXPECT_TRUE(runs(str("cd '", folder / "", "' && ", python(), R"py( -c "
import numpy as np, onnxruntime as ort
x = np.fromfile('x', np.float32).reshape(2, 32, 32, 3).transpose(0, 3, 1, 2)
y = np.fromfile('y', np.float32).reshape(2, 10)
session = ort.InferenceSession('net.onnx', providers=['CPUExecutionProvider'])
logits = session.run(None, {'input': x})[0]
np.testing.assert_allclose(logits, y, rtol=1e-4, atol=1e-4 * np.abs(y).max())")py")))
        << name;
  }
}

}  // namespace
}  // namespace stair::apps
