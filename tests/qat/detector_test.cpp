// A detector in the manner of MobileNetV2-SSDLite: backbone and heads in integers, the decoding of
// boxes and scores, excluded by name, on real numbers.
#include <cmath>

#include "autograd/ops/add.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/mse_loss.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/reshape.h"
#include "autograd/ops/sigmoid.h"
#include "autograd/ops/softmax.h"
#include "core/cpu.h"
#include "nn/blocks.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "qat/convert.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "tests/qat/small_graphs.h"
#include "tests/support/temporary_folder.h"

namespace stair::qat {
namespace {

using Modules = std::vector<std::shared_ptr<nn::Module>>;

constexpr int64_t kClasses = 3, kAnchors = 2, kSize = 32;
constexpr int64_t kMaps[] = {8, 4};  // sides of the feature maps
constexpr int64_t kBoxes = kAnchors * (8 * 8 + 4 * 4);

std::shared_ptr<nn::Module> conv_bn(std::shared_ptr<nn::Module> conv, int64_t out, bool activate) {
  Modules parts = {std::move(conv), std::make_shared<nn::BatchNorm2d>(out)};
  if (activate) parts.push_back(std::make_shared<nn::ReLU6>());
  return std::make_shared<nn::Sequential>(std::move(parts));
}

// Inverted residual: expansion by 4, depthwise, projection.
class Block final : public nn::Module {
 public:
  Block(int64_t in, int64_t out, int64_t stride, Random& random)
      : residual_(stride == 1 && in == out) {
    const int64_t hidden = 4 * in;
    conv_ = register_module(
        "conv",
        std::make_shared<nn::Sequential>(Modules{
            conv_bn(nn::conv1x1(in, hidden, 1, random), hidden, true),
            conv_bn(nn::conv3x3(hidden, hidden, stride, false, random, hidden), hidden, true),
            conv_bn(nn::conv1x1(hidden, out, 1, random), out, false)}));
  }
  Variable forward(const Variable& x) override {
    const Variable y = (*conv_)(x);
    return residual_ ? autograd::add(x, y) : y;
  }

 private:
  bool residual_;
  std::shared_ptr<nn::Module> conv_;
};

// SSDLite's prediction: depthwise 3x3, batch norm, ReLU6, 1x1 with a bias.
std::shared_ptr<nn::Module> head(int64_t in, int64_t values, Random& random) {
  return std::make_shared<nn::Sequential>(
      Modules{conv_bn(nn::conv3x3(in, in, 1, false, random, in), in, true),
              std::make_shared<nn::Conv2d>(in, kAnchors * values, nn::square_window(1), random)});
}

// Raw predictions of all maps -> [N, boxes, scores, center, size]:
//   scores = softmax, center = cell + 2 sigmoid - 0.5, size = anchor * (2 sigmoid)^2
class Decode final : public nn::Module {
 public:
  Decode() {
    Tensor cells = Tensor::empty({1, kBoxes, 2}, DType::f32);
    Tensor anchors = Tensor::empty({1, kBoxes, 2}, DType::f32);
    int64_t box = 0;
    for (int64_t side : kMaps)
      for (int64_t i = 0; i < side * side * kAnchors; ++i, ++box) {
        cells.data<float>()[2 * box] = static_cast<float>(i / kAnchors % side) - 0.5F;
        cells.data<float>()[2 * box + 1] = static_cast<float>(i / kAnchors / side) - 0.5F;
        anchors.data<float>()[2 * box] = i % 2 == 0 ? 1.5F : 3.0F;
        anchors.data<float>()[2 * box + 1] = i % 2 == 0 ? 3.0F : 1.5F;
      }
    cells_ = register_buffer("cells", cells);
    anchors_ = register_buffer("anchors", anchors);
    two_ = register_buffer("two", Tensor::full<float>({1}, 2));
  }
  Variable forward(const Variable&) override { throw ConfigError("decode takes all predictions"); }
  Variable forward_many(std::span<const Variable> maps) override {
    const auto joined = [&](size_t kind, int64_t values) {
      std::vector<Variable> parts;
      for (size_t map = kind; map < maps.size(); map += 3)
        parts.push_back(autograd::reshape(
            maps[map], {-1, maps[map].size(1) * maps[map].size(2) * kAnchors, values}));
      return autograd::concat(parts, 1);
    };
    const auto twice = [&](const Variable& x) { return autograd::mul(autograd::sigmoid(x), two_); };
    const Variable size = twice(joined(2, 2));
    return autograd::concat(
        {autograd::softmax(joined(0, kClasses)), autograd::add(twice(joined(1, 2)), cells_),
         autograd::mul(autograd::mul(size, size), anchors_)},
        2);
  }

 private:
  Variable cells_, anchors_, two_;
};

class Detector final : public nn::Module {
 public:
  Detector() {
    Random random(4);
    stem_ = register_module("stem", conv_bn(nn::conv3x3(3, 8, 2, false, random), 8, true));
    blocks_ = register_module("blocks", std::make_shared<nn::Sequential>(
                                            Modules{std::make_shared<Block>(8, 12, 2, random),
                                                    std::make_shared<Block>(12, 12, 1, random)}));
    deep_ = register_module("deep", std::make_shared<Block>(12, 20, 2, random));
    for (const auto& [name, in] : {std::pair{"shallow", 12}, {"deepest", 20}})
      for (const auto& [kind, values] : {std::pair{"scores", kClasses}, {"center", 2}, {"size", 2}})
        heads_.push_back(register_module(str("head_", name, "_", kind), head(in, values, random)));
    decode_ = register_module("decode", std::make_shared<Decode>());
  }
  Variable forward(const Variable& x) override {
    const Variable shallow = (*blocks_)((*stem_)(x)), deepest = (*deep_)(shallow);
    std::vector<Variable> maps;
    for (size_t i = 0; i < heads_.size(); ++i)
      maps.push_back((*heads_[i])(i < 3 ? shallow : deepest));
    const nn::PathScope path("decode");
    return decode_->forward_many(maps);
  }

 private:
  std::shared_ptr<nn::Module> stem_, blocks_, deep_, decode_;
  Modules heads_;
};

Tensor scenes(int64_t n, uint64_t seed) {
  return normal({n, kSize, kSize, 3}, seed);
}

void train(nn::GraphModule& model, int steps) {
  for (int step = 0; step < steps; ++step) {
    const Variable boxes = model(Variable(scenes(4, static_cast<uint64_t>(step) + 3)));
    autograd::mse_loss(boxes, Variable(Tensor::full<float>(boxes.shape(), 0.5F))).backward();
    for (const nn::NamedVariable& p : model.named_parameters()) {
      if (!p.variable.grad().defined()) continue;
      for (int64_t i = 0; i < p.variable.value().numel(); ++i)
        p.variable.value().data<float>()[i] -= 0.02F * p.variable.grad().data<float>()[i];
      nn::Variable(p.variable).zero_grad();
    }
  }
}

TEST(DetectorExact, BackboneAndHeadsAreIntegersTheDecodingIsReal) {
  Detector detector;
  EngineQuantizer quantizer(x86_config());
  quantizer.exclude("decode*");
  const Prepared prepared = prepare_qat(nn::capture(detector, Variable(scenes(1, 1))), quantizer);
  for (const NodeReport& line : prepared.report)
    EXPECT_EQ(line.quantized, line.name.find("decode") == std::string::npos)
        << line.name << ": " << line.how;
  nn::GraphModule model(prepared.graph);
  train(model, 4);
  model.eval();

  const support::TemporaryFolder folder;
  save_int8_graph(convert(model.graph()), folder / "detector.int8");
  const Int8Graph graph = load_int8_graph(folder / "detector.int8");
  for (const Int8Node& node : graph.nodes)
    EXPECT_EQ(node.op == "float", node.name.find("decode") != std::string::npos) << node.name;
  for (Isa isa : available_isas()) {
    const IsaScope scope(isa);
    Int8Session session(graph);
    for (int64_t n : {1, 3}) {
      const Tensor x = scenes(n, 50), boxes = session.run(x);
      EXPECT_EQ(boxes.shape(), (Shape{n, kBoxes, kClasses + 4}));
      expect_equal(boxes, run(model, x), str(isa, ' ', n));
    }
  }
}

// Boxes of the integer network are those of the float one, but for a fraction of a cell.
TEST(Detector, QuantizationMovesBoxesLittle) {
  Detector detector;
  const nn::Graph graph = nn::capture(detector, Variable(scenes(1, 1)));
  EngineQuantizer quantizer(x86_config());
  quantizer.exclude("decode*");
  nn::GraphModule model(prepare_qat(graph, quantizer).graph);
  train(model, 4);
  model.eval();
  enable_fake_quant(model, false);
  const Tensor x = scenes(4, 51), real = run(model, x);
  enable_fake_quant(model, true);
  const Tensor boxes = Int8Session(convert(model.graph())).run(x);
  double error = 0, spread = 0;
  for (int64_t i = 0; i < boxes.numel(); ++i) {
    const double difference = boxes.data<float>()[i] - real.data<float>()[i];
    error += difference * difference;
    const double from_middle = real.data<float>()[i] - 0.5;
    spread += from_middle * from_middle;
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 1e-3 * spread);
}

}  // namespace
}  // namespace stair::qat
