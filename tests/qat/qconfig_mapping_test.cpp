#include "qat/qconfig_mapping.h"

#include "nn/layers/activation.h"
#include "nn/layers/linear.h"
#include "qat/presets.h"
#include "qat/spec_json.h"
#include "tests/qat/small_graphs.h"

namespace stair::qat {
namespace {

// A module whose children have the given names and run one after the other.
class Named final : public nn::Module {
 public:
  using Parts = std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>>;
  explicit Named(const Parts& parts) {
    for (const auto& [name, part] : parts) register_module(name, part);
  }
  Variable forward(const Variable& x) override {
    Variable y = x;
    for (const auto& [name, child] : children()) y = (*child)(y);
    return y;
  }
};

std::shared_ptr<nn::Module> linear() {
  return std::make_shared<nn::Linear>(3, 3);
}

// foo.bar.conv0, foo.bar.linear, foo.baz.relu, module1, module2.
nn::Graph seed_graph() {
  const auto named = [](const Named::Parts& parts) { return std::make_shared<Named>(parts); };
  const auto bar =
      named({{"conv0", small_conv(3, 3)}, {"linear", linear()}, {"linear2", linear()}});
  const auto baz = named({{"relu", std::make_shared<nn::ReLU>()}});
  const auto foo = named({{"bar", bar}, {"baz", baz}});
  Named model({{"foo", foo}, {"module1", linear()}, {"module2", linear()}});
  return graph_of(model);
}

// Told apart by their bits.
QConfig bits(int count) {
  QConfig qconfig;
  set_bits(qconfig.weight, count);
  return qconfig;
}

int bits_of(const QConfigMapping& mapping, const nn::Graph& graph, const std::string& node) {
  const auto qconfig = mapping.qconfig_of(graph, *graph.find(node));
  return qconfig ? qconfig->weight.bits : 0;
}

TEST(QConfigMapping, RegexesAreTriedInTheOrderOfTheirRegistration) {
  const nn::Graph graph = seed_graph();
  QConfigMapping mapping;
  mapping.set_module_name_regex("foo.*bar.*conv[0-9]+", bits(2))
      .set_module_name_regex("foo.*bar.*", bits(3))
      .set_module_name_regex("foo.*", bits(4));
  const auto expect = [&](int conv0, int linear0, int relu) {
    EXPECT_EQ(bits_of(mapping, graph, "foo.bar.conv0.conv2d"), conv0);
    EXPECT_EQ(bits_of(mapping, graph, "foo.bar.linear.linear"), linear0);
    EXPECT_EQ(bits_of(mapping, graph, "foo.baz.relu.relu"), relu);
  };
  expect(2, 3, 4);
  // Set again, a regex keeps its place.
  mapping.set_module_name_regex("foo.*bar.*", bits(5));
  expect(2, 5, 4);
  EXPECT_EQ(bits_of(mapping, graph, "module1.linear"), 0);
  // The match begins where the name does.
  EXPECT_EQ(bits_of(QConfigMapping().set_module_name_regex("bar.*", bits(2)), graph,
                    "foo.bar.conv0.conv2d"),
            0);
}

TEST(QConfigMapping, HigherPrioritiesWin) {
  const nn::Graph graph = seed_graph();
  const std::string node = "foo.bar.linear.linear", other = "foo.bar.linear2.linear";
  QConfigMapping mapping;
  mapping.set_module_name_object_type_order("foo.bar", "torch.nn.functional.linear", 0, bits(6));
  EXPECT_EQ(bits_of(mapping, graph, node), 6);
  EXPECT_EQ(bits_of(mapping, graph, other), 0);
  mapping.set_global(bits(2));
  EXPECT_EQ(bits_of(mapping, graph, other), 2);
  mapping.set_object_type("torch.nn.Linear", bits(3));
  EXPECT_EQ(bits_of(mapping, graph, other), 3);
  EXPECT_EQ(bits_of(mapping, graph, "foo.bar.conv0.conv2d"), 2);
  mapping.set_module_name_regex("foo.*", bits(4));
  EXPECT_EQ(bits_of(mapping, graph, other), 4);
  mapping.set_module_name("foo", bits(5));
  EXPECT_EQ(bits_of(mapping, graph, other), 5);
  mapping.set_module_name("foo.bar.linear2", bits(7));
  EXPECT_EQ(bits_of(mapping, graph, other), 7);
  EXPECT_EQ(bits_of(mapping, graph, node), 6);
  mapping.set_module_name("foo.bar.linear2", std::nullopt);
  EXPECT_EQ(bits_of(mapping, graph, other), 0);
}

TEST(QConfigMapping, GoesToJsonAndBack) {
  QConfigMapping mapping;
  mapping.set_global(default_qconfig())
      .set_object_type("Conv2d", get_default_qconfig("qnnpack"))
      .set_module_name_regex("foo.*", get_default_qat_qconfig("x86"))
      .set_module_name("module1", std::nullopt)
      .set_module_name_object_type_order("foo.bar", "linear", 1, bits(4));
  const Json dict = mapping.to_dict();
  EXPECT_EQ(dict.at("object_type").at(size_t{0}).at(size_t{0}).as_string(), "conv2d");
  EXPECT_TRUE(dict.at("module_name").at(size_t{0}).at(1).is_null());
  const QConfigMapping again = QConfigMapping::from_dict(parse_json(dict.dump(2)));
  EXPECT_EQ(again.to_dict(), dict);
  const nn::Graph graph = seed_graph();
  for (const nn::Node& node : graph.nodes())
    if (node.operation()) {
      EXPECT_EQ(again.qconfig_of(graph, node), mapping.qconfig_of(graph, node)) << node.name;
    }
}

TEST(QConfigMapping, EverySpecificationGoesToJsonAndBack) {
  for (const Preset& preset : presets())
    for (const bool weight : {false, true}) {
      const QuantizationSpec spec = weight ? preset.config.weight : preset.config.activation;
      EXPECT_EQ(spec_from_json(to_json(spec), weight), spec) << preset.name;
    }
  QuantizationSpec odd = activation_spec(5);
  odd.observer = "fixed";
  odd.fixed_scale = 0.1F;
  odd.fixed_zero_point = 3;
  odd.eps = 0x1p-12F;
  EXPECT_EQ(spec_from_json(to_json(odd), false), odd);
}

TEST(QConfig, DefaultsAreThoseOfTheSeed) {
  const QConfig q = default_qconfig();
  EXPECT_EQ(q.activation.qmax, 127);
  EXPECT_EQ(q.activation.observer, "minmax");
  EXPECT_EQ(q.weight.axis, -1);
  EXPECT_EQ(get_default_qconfig("x86").activation.observer, "histogram");
  EXPECT_EQ(get_default_qat_qconfig("fbgemm").activation.observer, "moving_average_minmax");
  EXPECT_EQ(get_default_qconfig("qnnpack").weight.axis, -1);
  expect_config_error([] { (void)get_default_qconfig("fbgem"); }, {"'fbgemm'"});
}

TEST(QConfigMappingFault, NamesThatMeanNothingAreErrors) {
  const nn::Graph graph = seed_graph();
  const auto require = [&](const QConfigMapping& m) { m.require_names(graph); };
  expect_config_error([&] { require(QConfigMapping().set_module_name("modul1", bits(8))); },
                      {"'modul1'", "'module1'"});
  expect_config_error([&] { require(QConfigMapping().set_module_name_regex("bar.*", bits(8))); },
                      {"regex", "'bar.*'"});
  expect_config_error(
      [&] {
        require(
            QConfigMapping().set_module_name_object_type_order("foo.bar", "linear", 2, bits(8)));
      },
      {"'foo.bar'", "linear", "2"});
  expect_config_error([&] { QConfigMapping().set_module_name_regex("(", bits(8)); }, {"'('"});
  expect_config_error([&] { QConfigMapping().set_object_type("Conf2d", bits(8)); },
                      {"'Conf2d'", "'conv2d'"});
  const auto read = [](const char* text) { (void)QConfigMapping::from_dict(parse_json(text)); };
  expect_config_error([&] { read(R"({"module_nam": []})"); }, {"module_nam", "module_name"});
  expect_config_error([&] { read(R"({"module_name": [["a"]]})"); },
                      {"'module_name'", "expected 2"});
  expect_config_error([&] { read(R"({"": {"activation": {"dtype": "qint4"}}})"); }, {"qint4"});
  expect_config_error([&] { read(R"({"": {"weight": {"qscheme": "per_tensor_afine"}}})"); },
                      {"per_tensor_affine"});
  expect_config_error([&] { read(R"({"": {"weight": {"quant_mim": 1}}})"); }, {"quant_min"});
}

}  // namespace
}  // namespace stair::qat
