// The seed's walk through BackendConfig, and the native backends.
#include "qat/fx_quantizer.h"

#include "autograd/ops/sigmoid.h"
#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/linear.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/engine_quantizer.h"
#include "qat/int8/session.h"
#include "qat/prepare.h"
#include "qat/presets.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

class Sigmoid final : public nn::Module {
 public:
  Variable forward(const Variable& x) override { return autograd::sigmoid(x); }
};

class MyModel final : public nn::Module {
 public:
  explicit MyModel(bool use_bn) {
    register_module("linear", std::make_shared<nn::Linear>(10, 3));
    register_module("conv", small_conv(3, 3));
    if (use_bn) register_module("bn", std::make_shared<nn::BatchNorm2d>(3));
    register_module("relu", std::make_shared<nn::ReLU>());
    register_module("sigmoid", std::make_shared<Sigmoid>());
  }
  Variable forward(const Variable& x) override {
    Variable y = x;
    for (const auto& [name, child] : children()) y = (*child)(y);
    return y;
  }
};

BackendConfig my_backend() {
  DTypeWithConstraints quint8_with_constraints("quint8");
  quint8_with_constraints.quant_min_lower_bound = 0;
  quint8_with_constraints.quant_max_upper_bound = 255;
  quint8_with_constraints.scale_min_lower_bound = 0x1p-12;
  const DTypeConfig weighted_int8_dtype_config{quint8_with_constraints, quint8_with_constraints,
                                               "qint8", "float"};
  const auto linear_config =
      BackendPatternConfig()
          .set_pattern({"torch.nn.Linear"})
          .set_observation_type(ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT)
          .add_dtype_config(weighted_int8_dtype_config)
          .set_root_module("torch.nn.Linear")
          .set_qat_module("torch.nn.qat.Linear")
          .set_reference_quantized_module("torch.ao.nn.quantized.reference.Linear");
  const auto conv_relu_config = BackendPatternConfig()
                                    .set_pattern({"torch.nn.Conv2d", "torch.nn.ReLU"})
                                    .set_fused_module("torch.ao.nn.intrinsic.ConvReLU2d")
                                    .set_fuser_method("fuse_conv2d_relu");
  const auto fused_conv_relu_config =
      BackendPatternConfig()
          .set_pattern({"torch.ao.nn.intrinsic.ConvReLU2d"})
          .set_observation_type(ObservationType::OUTPUT_USE_DIFFERENT_OBSERVER_AS_INPUT)
          .add_dtype_config(weighted_int8_dtype_config)
          .set_root_module("torch.nn.Conv2d")
          .set_qat_module("torch.ao.nn.intrinsic.qat.ConvReLU2d")
          .set_reference_quantized_module("torch.ao.nn.quantized.reference.Conv2d");
  return BackendConfig("my_backend")
      .set_backend_pattern_config(linear_config)
      .set_backend_pattern_config(conv_relu_config)
      .set_backend_pattern_config(fused_conv_relu_config);
}

QConfigMapping my_mapping() {
  QConfig qconfig = default_qconfig();
  qconfig.activation.eps = 0x1p-12F;
  return QConfigMapping()
      .set_object_type("torch.nn.Linear", qconfig)
      .set_object_type("torch.nn.Conv2d", qconfig)
      .set_object_type("torch.nn.BatchNorm2d", qconfig)
      .set_object_type("torch.nn.ReLU", qconfig);
}

struct Outcome {
  std::set<std::string> quantized;  // names of nodes
  std::string report;
};

Outcome outcome(bool use_bn, const QConfigMapping& mapping) {
  MyModel model(use_bn);
  const Prepared prepared =
      prepare_qat(graph_of(model, {1, 10, 10, 10}), FxQuantizer(mapping, my_backend()));
  Outcome result;
  result.report = to_string(prepared.report);
  for (const NodeReport& line : prepared.report)
    if (line.quantized) result.quantized.insert(line.name);
  return result;
}

TEST(BackendConfig, QuantizesTheLinearAndTheConvReluOfTheSeed) {
  const Outcome o = outcome(false, my_mapping());
  EXPECT_EQ(o.quantized,
            (std::set<std::string>{"input", "linear.linear", "conv.conv2d", "relu.relu"}))
      << o.report;
  EXPECT_NE(o.report.find("relu.relu (relu): fused into conv.conv2d"), std::string::npos);
  EXPECT_NE(o.report.find("sigmoid (sigmoid): backend 'my_backend' has no pattern with sigmoid"),
            std::string::npos)
      << o.report;
}

// The seed's first faulty set-up: the backend knows no conv-bn-relu.
TEST(BackendConfig, SaysWhyAnUnknownPatternStaysFloat) {
  const Outcome o = outcome(true, my_mapping());
  EXPECT_EQ(o.quantized, (std::set<std::string>{"input", "linear.linear"})) << o.report;
  EXPECT_NE(o.report.find("conv.conv2d (conv2d): backend 'my_backend' has (conv2d, relu), but "
                          "here is (conv2d, batch_norm)"),
            std::string::npos)
      << o.report;
}

// The second: the default QConfigs do not keep to the backend's least scale.
TEST(BackendConfig, SaysWhichConstraintKeepsALayerFloat) {
  const Outcome o = outcome(false, get_default_qconfig_mapping());
  EXPECT_EQ(o.quantized, std::set<std::string>()) << o.report;
  for (const char* layer : {"linear.linear (linear)", "conv.conv2d (conv2d)"})
    EXPECT_NE(o.report.find(str(layer,
                                ": backend 'my_backend': the QConfig's activation allows "
                                "scales from ")),
              std::string::npos)
        << o.report;
}

TEST(BackendConfig, PartsOfAPatternNeedOneQConfig) {
  QConfigMapping mapping = my_mapping();
  mapping.set_object_type("ReLU", std::nullopt);
  const Outcome o = outcome(false, mapping);
  EXPECT_EQ(o.quantized.count("conv.conv2d"), 0U);
  EXPECT_NE(o.report.find("'relu.relu' of the same pattern has another QConfig"), std::string::npos)
      << o.report;
}

TEST(BackendConfig, TheLeastScaleHolds) {
  QuantizationSpec spec = activation_spec();
  spec.eps = 0x1p-12F;
  EXPECT_EQ(qparams_of({0}, {1e-6F}, spec).scale[0], 0x1p-12F);
  EXPECT_EQ(qparams_of({0}, {255}, spec).scale[0], 1.0F);
  spec.eps = 0;
  expect_config_error([&] { validate(spec); }, {"eps"});
}

TEST(BackendConfig, GoesToJsonAndBack) {
  for (const BackendConfig& config :
       {my_backend(), get_native_backend_config(), get_qnnpack_backend_config()}) {
    const BackendConfig again = BackendConfig::from_dict(parse_json(config.to_dict().dump(2)));
    EXPECT_EQ(again, config) << config.name();
  }
}

TEST(BackendConfig, AnEntryReplacesThatOfTheSamePattern) {
  BackendConfig config = my_backend();
  const size_t count = config.configs().size();
  config.set_backend_pattern_configs({BackendPatternConfig({"torch.nn.Linear"})});
  EXPECT_EQ(config.configs().size(), count);
  EXPECT_TRUE(config.configs()[0].dtype_configs().empty());
  EXPECT_EQ(config.set_name("other").name(), "other");
}

TEST(BackendConfigFault, UnknownKeysAndTypesNameTheNearest) {
  const auto read = [](const char* text) { (void)BackendConfig::from_dict(parse_json(text)); };
  expect_config_error([&] { read(R"({"configs": [{"patern": "Linear"}]})"); }, {"pattern"});
  expect_config_error(
      [&] { read(R"({"configs": [{"pattern": "Linear", "observation_type": "OUTPUT_SHARE"}]})"); },
      {"OUTPUT_SHARE"});
  expect_config_error([&] { read(R"({"configs": [{"pattern": []}]})"); }, {"empty"});
  BackendConfig config;
  config.set_backend_pattern_config(BackendPatternConfig({"ConvRelu2d"})
                                        .add_dtype_config({"quint8", "quint8", "qint8", "float"}));
  expect_config_error([&] { FxQuantizer(my_mapping(), config); }, {"'ConvRelu2d'"});
}

// With a native backend and the x86 QConfigs the network is that of the x86 preset, integer for
// integer, save that biases stay real.
TEST(FxQuantizerExact, TheNativeBackendDeploys) {
  const auto model = nn::find_model("resnet20").build({});
  const nn::Graph graph = graph_of(*model, {1, 16, 16, 3});
  const FxQuantizer fx(get_default_qat_qconfig_mapping("x86"), get_native_backend_config());
  const Prepared prepared = prepare_qat(graph, fx);
  for (const NodeReport& line : prepared.report)
    EXPECT_TRUE(line.quantized) << line.name << line.how;
  nn::GraphModule trained(prepared.graph);
  (void)run(trained, normal({2, 16, 16, 3}, 1));
  trained.eval();
  const Tensor x = normal({2, 16, 16, 3}, 2);
  expect_equal(Int8Session(convert(trained.graph())).run(x), run(trained, x), "fx");
  std::set<std::string> ops;
  for (const std::string& op : fx.quantization_capabilities()) ops.insert(op);
  EXPECT_TRUE(ops.contains("conv2d batch_norm relu6"));
}

}  // namespace
}  // namespace stair::qat
