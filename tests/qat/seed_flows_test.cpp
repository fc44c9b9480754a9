// The flows of the seed documents 000 and 001 with the names that they use.
#include <gtest/gtest.h>

#include "autograd/ops/cross_entropy.h"
#include "nn/graph/print.h"
#include "nn/layers/linear.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/convert_qdq.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/reference.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "qat/presets.h"
#include "qat/ptq/calibrate.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

using nn::Graph;
using nn::Node;

class M final : public nn::Module {
 public:
  M() { linear_ = register_module("linear", std::make_shared<nn::Linear>(5, 10)); }
  Variable forward(const Variable& x) override { return (*linear_)(x); }

 private:
  std::shared_ptr<nn::Module> linear_;
};

// Steps of plain gradient descent.
void train_one_epoch(nn::GraphModule& model, const Shape& shape, int batches) {
  model.train();
  for (int i = 0; i < batches; ++i) {
    Tensor target = Tensor::empty({shape[0]}, DType::s64);
    for (int64_t n = 0; n < shape[0]; ++n) target.data<int64_t>()[n] = (n + i) % 3;
    const Variable output = model(Variable(normal(shape, static_cast<uint64_t>(i))));
    autograd::cross_entropy(output, target, {}).backward();
    for (const nn::NamedVariable& p : model.named_parameters()) {
      if (!p.variable.grad().defined()) continue;
      const Tensor value = p.variable.value(), gradient = p.variable.grad();
      for (int64_t k = 0; k < value.numel(); ++k)
        value.data<float>()[k] -= 0.01F * gradient.data<float>()[k];
      nn::Variable(p.variable).zero_grad();
    }
  }
}

Tensor evaluate(nn::GraphModule& model, const Tensor& x) {
  model.eval();
  return run(model, x);
}

// 000: capture, set_global, prepare_qat, train, convert.
TEST(SeedFlowsExact, TrainsALinearLayerWithTheSymmetricConfiguration) {
  M m;
  const Graph exported = nn::capture(m, Variable(normal({1, 5}, 1)));
  EngineQuantizer quantizer;
  quantizer.set_global(get_symmetric_quantization_config(false, true));
  nn::GraphModule prepared(prepare_qat(exported, quantizer).graph);
  train_one_epoch(prepared, {4, 5}, 5);
  const Tensor x = normal({3, 5}, 9), y = evaluate(prepared, x);
  nn::GraphModule converted(convert_qdq(prepared.graph()));
  expect_equal(evaluate(converted, x), y, "Q/DQ");
  expect_equal(run_reference(convert(prepared.graph()), x), y, "reference");
}

// 000's loop: observers stop, batch norm freezes, and a deep copy is converted between epochs.
TEST(SeedFlowsExact, TheLoopOfTheSeedConvertsADeepCopyBetweenEpochs) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.125;
  const Graph exported = graph_of(*nn::find_model("resnet18").build(options), {2, 40, 40, 3});
  EngineQuantizer quantizer;
  quantizer.set_global(get_default_x86_inductor_quantization_config(true));
  nn::GraphModule prepared(prepare_qat(exported, quantizer).graph);
  const Tensor x = normal({2, 40, 40, 3}, 99);
  const int num_epochs = 4, num_observer_update_epochs = 2, num_batch_norm_update_epochs = 1;
  for (int epoch = 0; epoch < num_epochs; ++epoch) {
    train_one_epoch(prepared, {2, 40, 40, 3}, 2);
    if (epoch >= num_observer_update_epochs) enable_observers(prepared, false);
    if (epoch >= num_batch_norm_update_epochs) freeze_batch_norm(prepared, true);
    const auto copy = std::static_pointer_cast<nn::GraphModule>(prepared.clone());
    const Tensor y = evaluate(*copy, x);
    expect_equal(Int8Session(convert(copy->graph())).run(x), y, str("epoch ", epoch));
    EXPECT_TRUE(prepared.is_training());
  }
}

// 001: prepare folds batch norm, batches calibrate, both representations and the engine agree.
TEST(SeedFlowsExact, PostTrainingQuantizationInBothRepresentations) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.125;
  const auto model = nn::find_model("resnet18").build(options);
  model->eval();
  const Graph exported = graph_of(*model, {2, 40, 40, 3});
  EngineQuantizer quantizer;
  quantizer.set_global(get_symmetric_quantization_config(true))
      .set_object_type("torch.nn.functional.linear", get_symmetric_quantization_config())
      .set_module_name("layer1.0", std::nullopt);
  nn::GraphModule prepared(prepare(exported, quantizer).graph);
  EXPECT_EQ(nn::to_text(prepared.graph()).find("bn1"), std::string::npos);
  calibrate(prepared, [](const std::function<void(const Tensor&)>& batch) {
    for (uint64_t i = 0; i < 2; ++i) batch(normal({2, 40, 40, 3}, i));
  });
  const Tensor x = normal({2, 40, 40, 3}, 9), y = evaluate(prepared, x);
  nn::GraphModule qdq(convert_qdq(prepared.graph()));
  expect_equal(evaluate(qdq, x), y, "Q/DQ");
}

// 001, a toy backend: convolutions with a ReLU behind, maybe a batch norm between, and sums.
class BackendToy final : public BackendQuantizer {
 public:
  explicit BackendToy(QuantizationConfig config) : config_(std::move(config)) {}

  void annotate(const Graph& graph, Annotations& annotations) const override {
    for (const Node& node : graph.nodes()) {
      if (node.op == "conv2d") annotate_conv(graph, node, annotations);
      if (node.op == "add") annotate_add(graph, node, annotations);
    }
  }
  std::vector<std::string> quantization_capabilities() const override { return {"conv2d", "add"}; }

 private:
  // The end of the pattern that begins at a node.
  static int take(const Graph& graph, int id, const char* op, Annotations& annotations) {
    const std::vector<int> users = graph.users_of(id);
    if (users.size() != 1 || graph.node(users[0]).op != op) return id;
    annotations[users[0]].annotated = true;
    return users[0];
  }

  void annotate_conv(const Graph& graph, const Node& node, Annotations& annotations) const {
    QuantizationAnnotation& a = annotations[node.id];
    a.input_qspec_map = {{node.inputs[0], config_.get_input_act_qspec()},
                         {node.inputs[1], config_.get_weight_qspec()}};
    a.annotated = true;
    const int norm = take(graph, node.id, "batch_norm", annotations);
    annotations[take(graph, norm, "relu", annotations)].output_qspec =
        config_.get_output_act_qspec();
  }

  void annotate_add(const Graph& graph, const Node& node, Annotations& annotations) const {
    QuantizationAnnotation& a = annotations[node.id];
    const SharedQuantizationSpec share_qparams_with_input_act0_qspec{{node.inputs[0], node.id}};
    a.input_qspec_map = {{node.inputs[0], config_.get_input_act_qspec()},
                         {node.inputs[1], share_qparams_with_input_act0_qspec}};
    a.annotated = true;
    annotations[take(graph, node.id, "relu", annotations)].output_qspec =
        config_.get_output_act_qspec();
  }

  QuantizationConfig config_;
};

TEST(SeedFlowsExact, AToyBackendQuantizesResnet18) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.125;
  const Graph exported = graph_of(*nn::find_model("resnet18").build(options), {2, 40, 40, 3});
  const Prepared prepared =
      prepare_qat(exported, BackendToy(get_default_x86_inductor_quantization_config(true)));
  int quantized = 0;
  for (const NodeReport& line : prepared.report)
    quantized += line.quantized && (line.op == "conv2d" || line.op == "add");
  EXPECT_EQ(quantized, 20 + 8) << to_string(prepared.report);
  nn::GraphModule model(prepared.graph);
  train_one_epoch(model, {2, 40, 40, 3}, 2);
  const Tensor x = normal({2, 40, 40, 3}, 9), y = evaluate(model, x);
  nn::GraphModule converted(convert_qdq(model.graph()));
  expect_equal(evaluate(converted, x), y, "Q/DQ");
}

TEST(SeedFlows, ConfigurationsAreThoseOfTheSeed) {
  const QuantizationConfig symmetric = get_symmetric_quantization_config();
  EXPECT_TRUE(symmetric.activation.is_signed);
  EXPECT_EQ(symmetric.activation.observer, "histogram");
  EXPECT_EQ(symmetric.activation.eps, 0x1p-12F);
  EXPECT_EQ(symmetric.weight.qmin, -127);
  EXPECT_EQ(symmetric.weight.axis, -1);
  EXPECT_EQ(get_symmetric_quantization_config(true).weight.axis, 0);
  EXPECT_EQ(get_symmetric_quantization_config(true, true).activation.observer,
            "moving_average_minmax");
  const QuantizationConfig x86 = get_default_x86_inductor_quantization_config();
  EXPECT_FALSE(x86.activation.is_signed);
  EXPECT_EQ(x86.weight.qmin, -128);
  EXPECT_EQ(x86.weight.axis, 0);
}

}  // namespace
}  // namespace stair::qat
