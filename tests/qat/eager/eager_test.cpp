// The eager flow of the seeds: stubs, fusion, QConfigs by module, modes and printed modules.
#include <gtest/gtest.h>

#include <regex>

#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/linear.h"
#include "nn/layers/pool.h"
#include "nn/model.h"
#include "qat/eager/eager_model.h"
#include "qat/eager/stubs.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

std::shared_ptr<nn::Module> conv1x1() {
  return std::make_shared<nn::Conv2d>(1, 1, nn::ConvConfig{});
}

class QM final : public nn::Module {
 public:
  QM() {
    register_module("conv", conv1x1());
    register_module("relu", std::make_shared<nn::ReLU>());
    register_module("quant", std::make_shared<QuantStub>());
    register_module("dequant", std::make_shared<DeQuantStub>());
  }
  Variable forward(const Variable& x) override {
    const auto& parts = children();
    return (*parts[3].second)((*parts[1].second)((*parts[0].second)((*parts[2].second)(x))));
  }
};

class QM2 final : public nn::Module {
 public:
  QM2() {
    conv_ = register_module("conv", conv1x1());
    relu_ = register_module("relu", std::make_shared<nn::ReLU>());
    quant_ = register_module("quant", std::make_shared<QuantStub>());
    dequant_ = register_module("dequant", std::make_shared<DeQuantStub>());
    bn_ = register_module("bn", std::make_shared<nn::BatchNorm2d>(1));
  }
  Variable forward(const Variable& x) override {
    return (*dequant_)((*relu_)((*bn_)((*conv_)((*quant_)(x)))));
  }

 private:
  std::shared_ptr<nn::Module> conv_, relu_, quant_, dequant_, bn_;
};

// Two layers, their sum and what concatenation makes of it.
class Functional final : public nn::Module {
 public:
  Functional() {
    conv1_ = register_module("conv1", small_conv(3, 4));
    conv2_ = register_module("conv2", small_conv(3, 4));
    skip_ = register_module("skip_add", std::make_shared<FloatFunctional>());
    cat_ = register_module("cat", std::make_shared<FloatFunctional>());
    conv3_ = register_module("conv3", small_conv(8, 2));
  }
  Variable forward(const Variable& x) override {
    const Variable a = (*conv1_)(x), sum = skip_->add_relu(a, (*conv2_)(x));
    return (*conv3_)(cat_->cat({sum, a}, 3));
  }

 private:
  std::shared_ptr<nn::Module> conv1_, conv2_, conv3_;
  std::shared_ptr<FloatFunctional> skip_, cat_;
};

const Shape kShape = {4, 4, 4, 1};

template <class M>
EagerModel eager(const Shape& shape = kShape) {
  return EagerModel(std::make_shared<M>(), Variable(normal(shape, 1)));
}

void run_batches(EagerModel& model, const Shape& shape = kShape) {
  const autograd::NoGrad no_grad;
  for (uint64_t i = 0; i < 10; ++i) (void)model(Variable(normal(shape, i)));
}

// Element types of every value while the model runs, by node.
std::map<std::string, DType> types_of(EagerModel& model) {
  std::map<std::string, DType> types;
  model.module().set_observer(
      [&](const nn::Node& node, const Variable& value) { types[node.name] = value.dtype(); });
  (void)run(model.module(), normal(kShape, 3));
  model.module().set_observer({});
  return types;
}

TEST(Eager, TheSeedsNetworkIsQuantizedBetweenItsStubs) {
  EagerModel model = eager<QM>();
  model.eval();
  EXPECT_EQ(model.to_text(),
            "QM(\n  (conv): Conv2d(1, 1, kernel_size=(1, 1), stride=(1, 1))\n  (relu): ReLU()\n"
            "  (quant): QuantStub()\n  (dequant): DeQuantStub()\n)");
  for (const auto& [node, type] : types_of(model)) EXPECT_EQ(type, DType::f32) << node;
  model.set_qconfig("", get_default_qconfig("fbgemm"));
  fuse_modules(model, {{"conv", "relu"}});
  EXPECT_EQ(model.to_text(),
            "QM(\n  (conv): ConvReLU2d(\n    (0): Conv2d(1, 1, kernel_size=(1, 1), stride=(1, 1))\n"
            "    (1): ReLU()\n  )\n  (relu): Identity()\n"
            "  (quant): QuantStub()\n  (dequant): DeQuantStub()\n)");
  prepare(model);
  run_batches(model);
  for (const auto& [node, type] : types_of(model)) EXPECT_EQ(type, DType::f32) << node;
  const Tensor before = run(model.module(), normal(kShape, 5));
  convert(model);
  const auto types = types_of(model);
  EXPECT_EQ(types.at("input"), DType::f32);
  EXPECT_EQ(types.at("quant.quant_stub"), DType::u8);
  EXPECT_EQ(types.at("conv.output_quantizer"), DType::u8);
  EXPECT_EQ(types.at("dequant.dequantize"), DType::f32);
  const Tensor weight = model.module().graph().find("conv.weight_codes")->variable.value();
  EXPECT_EQ(weight.dtype(), DType::s8);
  EXPECT_EQ(weight.element_size(), 1U);
  const std::regex printed(
      "QM\\(\n  \\(conv\\): QuantizedConvReLU2d\\(1, 1, kernel_size=\\(1, 1\\), stride=\\(1, 1\\), "
      "scale=[0-9.e-]+, zero_point=0\\)\n  \\(relu\\): Identity\\(\\)\n"
      "  \\(quant\\): Quantize\\(scale=tensor\\(\\[[0-9.]+\\]\\), "
      "zero_point=tensor\\(\\[[0-9]+\\]\\), "
      "dtype=torch.quint8\\)\n  \\(dequant\\): DeQuantize\\(\\)\n\\)");
  EXPECT_TRUE(std::regex_match(model.to_text(), printed)) << model.to_text();
  const Tensor after = run(model.module(), normal(kShape, 5));
  for (int64_t i = 0; i < after.numel(); ++i)
    EXPECT_NEAR(after.data<float>()[i], before.data<float>()[i], 0.1);
}

TEST(Eager, TrainingFusesConvBatchNormAndRelu) {
  EagerModel model = eager<QM2>();
  model.train();
  model.set_qconfig("", get_default_qat_qconfig("fbgemm"));
  fuse_modules_qat(model, {{"conv", "bn", "relu"}});
  EXPECT_NE(model.to_text().find("(conv): ConvBnReLU2d(\n    (0): Conv2d(1, 1, kernel_size=(1, 1), "
                                 "stride=(1, 1))\n    (1): BatchNorm2d("),
            std::string::npos)
      << model.to_text();
  prepare_qat(model);
  EXPECT_TRUE(model.is_training());
  run_batches(model);
  model.eval();
  const Tensor x = normal(kShape, 3);
  const Tensor trained = run(model.module(), x);
  convert(model);
  expect_equal(run(model.module(), x), trained, "convert");
  EXPECT_NE(model.to_text().find("(conv): QuantizedConvReLU2d(1, 1, "), std::string::npos);
}

TEST(Eager, OneFlowForBothKinds) {
  const ModuleLists lists = {{"conv", "bn", "relu"}};
  for (const bool is_qat : {false, true}) {
    EagerModel model = eager<QM2>();
    model.train(is_qat);
    model.set_qconfig("", is_qat ? get_default_qat_qconfig("qnnpack") : get_default_qconfig("x86"));
    fuse_modules_for(model, lists);
    const auto run_fn = [epochs = 10](EagerModel& m) {
      for (int i = 0; i < epochs; ++i) run_batches(m);
    };
    is_qat ? quantize_qat(model, run_fn) : quantize(model, run_fn);
    EXPECT_NE(model.to_text().find("QuantizedConvReLU2d"), std::string::npos);
    EXPECT_EQ(types_of(model).at("conv.output_quantizer"), DType::u8);
  }
}

TEST(Eager, AModuleWithoutAQConfigStaysFloatAndAnotherHasItsOwn) {
  EagerModel model = eager<Functional>({2, 6, 6, 3});
  model.eval();
  QConfig narrow = get_default_qconfig("x86");
  set_bits(narrow.weight, 4);
  model.set_qconfig("", get_default_qconfig("x86"))
      .set_qconfig("conv1", std::nullopt)
      .set_qconfig("conv2", narrow);
  quantize(model, [](EagerModel& m) { run_batches(m, {2, 6, 6, 3}); });
  const nn::Graph& graph = model.module().graph();
  EXPECT_NE(graph.find("conv1.weight"), nullptr);
  EXPECT_EQ(graph.find("conv2.weight_codes")->variable.value().qparams().qmax, 7);
  EXPECT_EQ(graph.find("conv3.weight_codes")->variable.value().qparams().qmax, 127);
  EXPECT_NE(model.to_text().find("(conv1): Conv2d(3, 4"), std::string::npos) << model.to_text();
  EXPECT_NE(model.to_text().find("(skip_add): QFunctional(scale="), std::string::npos)
      << model.to_text();
  for (const NodeReport& line : model.report())
    if (line.name == "conv1.conv2d") {
      EXPECT_EQ(line.how, "module name 'conv1' has no configuration");
    }
}

TEST(Eager, FloatFunctionalsComputeWhatTheySay) {
  FloatFunctional f;
  const Variable a(Tensor::from<float>({1, -4}, {1, 2})), b(Tensor::from<float>({2, 3}, {1, 2}));
  const auto values = [](const Variable& v) {
    return std::vector<float>(v.value().data<float>(), v.value().data<float>() + v.value().numel());
  };
  EXPECT_EQ(values(f.add(a, b)), (std::vector<float>{3, -1}));
  EXPECT_EQ(values(f.add_relu(a, b)), (std::vector<float>{3, 0}));
  EXPECT_EQ(values(f.mul(a, b)), (std::vector<float>{2, -12}));
  EXPECT_EQ(values(f.cat({a, b}, 1)), (std::vector<float>{1, -4, 2, 3}));
  expect_config_error([&] { (void)f(a); }, {"add_relu"});
}

TEST(Eager, ANetworkWithoutStubsIsQuantizedAsAWhole) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = 0.25;
  const Shape shape{2, 32, 32, 3};
  EagerModel model(nn::find_model("mobilenet_v2").build(options), Variable(normal(shape, 1)));
  model.eval();
  ModuleLists lists = {{"features.0.0", "features.0.1", "features.0.2"}};
  fuse_modules(model, lists);
  model.set_qconfig("", get_default_qconfig("qnnpack"));
  quantize(model, [&](EagerModel& m) { run_batches(m, shape); });
  const std::string text = model.to_text();
  EXPECT_NE(
      text.find("QuantizedConvReLU2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)"),
      std::string::npos)
      << text;
}

TEST(EagerFault, TheWrongModeIsAnErrorWithAHint) {
  EagerModel model = eager<QM2>();
  model.set_qconfig("", get_default_qconfig("x86"));
  const ModuleLists lists = {{"conv", "bn", "relu"}};
  model.train();
  expect_config_error([&] { fuse_modules(model, lists); }, {"training mode", "call eval()"});
  expect_config_error([&] { prepare(model); }, {"training mode", "eval()", "prepare_qat"});
  model.eval();
  expect_config_error([&] { fuse_modules_qat(model, lists); }, {"evaluation mode", "train()"});
  expect_config_error([&] { prepare_qat(model); }, {"evaluation mode", "train()"});
  expect_config_error([&] { convert(model); }, {"not prepared yet"});
  model.train();
  prepare_qat(model);
  expect_config_error([&] { convert(model); }, {"training mode", "call eval()"});
  expect_config_error([&] { prepare_qat(model); }, {"prepared already"});
  model.eval();
  expect_config_error([&] { convert(model); }, {"calibrate first"});
}

TEST(EagerFault, ListsThatCannotBeFusedAreRefused) {
  EagerModel model = eager<QM2>();
  model.eval();
  // The list of the seed leaves the convolution out.
  expect_config_error(
      [&] {
        fuse_modules(model, {{"bn", "relu"}});
      },
      {"leaves the convolution out"});
  expect_config_error([&] { fuse_modules(model, {{"conv", "quant"}}); }, {"cannot be fused"});
  expect_config_error([&] { fuse_modules(model, {{"conv", "relu"}}); }, {"in this order"});
  expect_config_error([&] { fuse_modules(model, {{"conf", "bn"}}); }, {"'conf'", "'conv'"});
  expect_config_error([&] { model.set_qconfig("rel", std::nullopt); }, {"'relu'"});
  expect_config_error([&] { prepare(model); }, {"QConfig"});
}

}  // namespace
}  // namespace stair::qat
