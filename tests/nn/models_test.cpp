#include <gtest/gtest.h>

#include "core/file.h"
#include "core/json.h"
#include "nn/layers/conv2d.h"
#include "nn/mobilenet.h"
#include "nn/model.h"
#include "nn/state_dict.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

int64_t parameter_count(const Module& module) {
  int64_t count = 0;
  for (const NamedVariable& p : module.named_parameters()) count += p.variable.value().numel();
  return count;
}

class ModelNamesGolden : public testing::TestWithParam<const char*> {};

TEST_P(ModelNamesGolden, EqualTorchvisionsInOrderShapeAndKind) {
  const std::string path = STAIR_SOURCE_DIR "/tests/golden/state_dict_names.json";
  const Json golden = parse_json(read_file(path, 1 << 20, FileUse::model), path);
  const auto model = find_model(GetParam()).build({});
  const std::vector<NamedTensor> own = state_dict(*model);
  const Json::Array& expected = golden.at(GetParam()).as_array();
  std::vector<std::string> buffers, expected_buffers;
  for (const NamedVariable& b : model->named_buffers()) buffers.push_back(b.name);
  ASSERT_EQ(own.size(), expected.size());
  for (size_t i = 0; i < own.size(); ++i) {
    std::vector<int64_t> shape;
    for (const Json& d : expected[i].at("shape").as_array()) shape.push_back(d.as_int());
    EXPECT_EQ(own[i].name, expected[i].at("name").as_string());
    EXPECT_EQ(own[i].tensor.shape(), Shape(shape)) << own[i].name;
    EXPECT_EQ(own[i].tensor.dtype(),
              expected[i].at("dtype").as_string() == "int64" ? DType::s64 : DType::f32);
    if (expected[i].at("kind").as_string() == "buffer") expected_buffers.push_back(own[i].name);
  }
  EXPECT_EQ(buffers, expected_buffers);
}

INSTANTIATE_TEST_SUITE_P(Torchvision, ModelNamesGolden,
                         testing::Values("resnet18", "mobilenet_v2", "mobilenet_v3_small"));

void expect_counts(std::initializer_list<std::pair<const char*, int64_t>> counts) {
  for (const auto& [name, count] : counts)
    EXPECT_EQ(parameter_count(*find_model(name).build({})), count) << name;
}

TEST(Models, HaveThePublishedCountsOfParameters) {
  expect_counts({{"resnet20", 269722},
                 {"resnet32", 464154},
                 {"resnet44", 658586},
                 {"resnet56", 853018},
                 {"resnet18", 11689512},
                 {"mobilenet_v2", 3504872},
                 {"mobilenet_v3_small", 2542856},
                 {"mobilenet_v3_large", 5483032}});
  EXPECT_EQ(list_models().size(), 10u);
}

TEST(LargeModelsSlow, HaveThePublishedCountsOfParameters) {
  expect_counts({{"resnet34", 21797672}, {"resnet50", 25557032}});
}

TEST(Models, UnknownNameIsAnsweredWithTheNearest) {
  try {
    find_model("resnet81");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "no model is called 'resnet81'; there are mobilenet_v2, mobilenet_v3_large, "
                 "mobilenet_v3_small, resnet18, resnet20, "
                 "resnet32, resnet34, resnet44, resnet50, resnet56");
    EXPECT_EQ(error.hint(), "did you mean 'resnet18'?");
  }
}

TEST(Models, RefuseOptionsThatMakeNoNetwork) {
  const ModelDef& model = find_model("resnet20");
  EXPECT_EQ(message_of<ConfigError>([&] { model.build({.num_classes = 0}); }),
            "resnet20: num_classes 0, expected at least 1");
  EXPECT_EQ(message_of<ConfigError>([&] { model.build({.width = -1}); }),
            "resnet20: width -1, expected a positive number");
  EXPECT_EQ(message_of<ConfigError>([&] { model.build({.dropout = 1.0}); }),
            "resnet20: dropout 1, expected at least 0 and less than 1");
}

TEST(Models, SeedDecidesTheFirstWeights) {
  const ModelDef& def = find_model("resnet20");
  const auto first = [&](uint64_t seed) {
    return def.build({.seed = seed})->named_parameters()[0].variable.value();
  };
  EXPECT_TRUE(same(first(1), first(1)));
  EXPECT_FALSE(same(first(1), first(2)));
}

TEST(Models, GiveOneLogitAClass) {
  for (const ModelDef* def : list_models()) {
    const auto model = def->build({.num_classes = 3, .width = 0.125});
    model->eval();
    const autograd::NoGrad no_grad;
    EXPECT_EQ((*model)(random_variable({2, 32, 32, 3}, 1)).shape(), (Shape{2, 3})) << def->name;
  }
}

// The padding of every 3x3 convolution of stride 2, and of stride 1.
void expect_padding(Module& model, std::vector<int64_t> strided) {
  int found = 0;
  for (const auto& [path, module] : model.named_modules()) {
    const auto* conv = dynamic_cast<const Conv2d*>(module);
    if (conv == nullptr || conv->weight().size(1) != 3) continue;
    const bool is_strided = conv->options().stride[0] == 2;
    const auto& p = conv->options().padding;
    EXPECT_EQ(std::vector<int64_t>(p.begin(), p.end()),
              is_strided ? strided : (std::vector<int64_t>{1, 1, 1, 1}))
        << path;
    found += is_strided;
  }
  EXPECT_GT(found, 1);
}

TEST(Models, SameUpperPaddingIsBelowAndRight) {
  for (const ModelDef* def : list_models()) {
    expect_padding(*def->build({.width = 0.125, .same_upper_padding = true}), {0, 0, 1, 1});
    expect_padding(*def->build({.width = 0.125}), {1, 1, 1, 1});
  }
}

TEST(Models, MobilenetDropsItsSixOnRequest) {
  const auto with = find_model("mobilenet_v2").build({.width = 0.1});
  const auto without = find_model("mobilenet_v2").build({.width = 0.1, .relu6 = false});
  with->eval();
  without->eval();
  Variable x = random_variable({1, 32, 32, 3}, 1);
  for (int64_t i = 0; i < x.value().numel(); ++i) x.value().data<float>()[i] *= 1000;
  EXPECT_FALSE(same((*with)(x).value(), (*without)(x).value()));
}

TEST(Models, MobilenetTakesItsBlocksAndRoundingFromTheOptions) {
  ModelOptions options;
  options.num_classes = 5;
  options.width = 0.7;
  options.round_nearest = 1;
  options.inverted_residual_setting = {{1, 10, 1, 1}, {4, 33, 2, 2}};
  const auto model = find_model("mobilenet_v2").build(options);
  std::map<std::string, Shape> shapes;
  for (const NamedVariable& p : model->named_parameters()) shapes[p.name] = p.variable.shape();
  EXPECT_EQ(shapes.at("features.0.0.weight"), (Shape{22, 3, 3, 3}));
  EXPECT_EQ(shapes.at("features.1.conv.1.weight"), (Shape{7, 1, 1, 22}));
  EXPECT_EQ(shapes.at("features.2.conv.0.0.weight"), (Shape{28, 1, 1, 7}));
  EXPECT_EQ(shapes.at("features.2.conv.2.weight"), (Shape{23, 1, 1, 28}));
  EXPECT_EQ(shapes.at("features.3.conv.0.0.weight"), (Shape{92, 1, 1, 23}));
  EXPECT_EQ(shapes.at("features.4.0.weight"), (Shape{1280, 1, 1, 23}));
  EXPECT_EQ(shapes.at("classifier.1.weight"), (Shape{5, 1280}));
  EXPECT_FALSE(shapes.contains("features.5.0.weight"));
  const autograd::NoGrad no_grad;
  model->eval();
  EXPECT_EQ((*model)(Variable(Tensor::zeros({1, 32, 32, 3}, DType::f32))).shape(), (Shape{1, 5}));
}

TEST(ModelsFault, MobilenetRefusesBlocksThatAreNone) {
  for (const std::array<int64_t, 4> row : {std::array<int64_t, 4>{0, 16, 1, 1}, {6, 16, 0, 1},
                                           {6, 16, 1, 3}}) {
    ModelOptions options;
    options.inverted_residual_setting = {row};
    EXPECT_THROW((void)find_model("mobilenet_v2").build(options), ConfigError);
  }
  ModelOptions options;
  options.round_nearest = 0;
  EXPECT_THROW((void)find_model("mobilenet_v2").build(options), ConfigError);
}

TEST(MakeDivisible, RoundsAsTorchvision) {
  EXPECT_EQ(make_divisible(32), 32);
  EXPECT_EQ(make_divisible(3), 8);
  EXPECT_EQ(make_divisible(11.2), 16);  // 8 would be less than nine tenths
  EXPECT_EQ(make_divisible(44.8), 48);
  EXPECT_EQ(make_divisible(33.6), 32);
}

}  // namespace
}  // namespace stair::nn
