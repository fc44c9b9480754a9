// Networks that other programs quantized and wrote as ONNX: their codes out of our session, and the
// same network out of our exporter.
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include "apps/onnx/export.h"
#include "core/file.h"
#include "qat/int8/session.h"
#include "tests/apps/onnx/read_qdq.h"

namespace stair::apps {
namespace {

using test::GoldenCase;

onnx::ModelProto model_of(const GoldenCase& c) {
  return parse_onnx(read_file(test::golden_folder() + "/" + c.attrs().at("file_onnx").as_string(),
                              1 << 20, FileUse::model));
}

Tensor real_numbers(const Tensor& codes) {
  const QParams& p = codes.qparams();
  Tensor y = Tensor::empty(codes.shape(), DType::f32);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int32_t q =
        codes.dtype() == DType::s8 ? codes.data<int8_t>()[i] : int32_t{codes.data<uint8_t>()[i]};
    y.data<float>()[i] = static_cast<float>(q - p.zero_point[0]) * p.scale[0];
  }
  return y;
}

void expect_within_one_step(const std::string& what, const Tensor& got, const Tensor& want,
                            float step) {
  EXPECT_EQ(test::mismatch(got, want, {1e-4, 1.001 * static_cast<double>(step)}), "") << what;
  int64_t unequal = 0;
  for (int64_t i = 0; i < got.numel(); ++i)
    unequal += std::abs(got.data<float>()[i] - want.data<float>()[i]) > 0.5F * step;
  EXPECT_LE(unequal, 1 + got.numel() / 100) << what;
}

void expect_same_network(const qat::Int8Graph& a, const qat::Int8Graph& b) {
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  const auto expect_same = [](const Tensor& x, const Tensor& y) {
    ASSERT_EQ(x.defined(), y.defined());
    if (!x.defined()) return;
    ASSERT_EQ(x.shape(), y.shape());
    EXPECT_EQ(std::memcmp(x.raw(), y.raw(), x.bytes()), 0);
  };
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    const qat::Int8Node &x = a.nodes[i], &y = b.nodes[i];
    EXPECT_EQ(x.op, y.op);
    EXPECT_EQ(x.inputs, y.inputs) << x.name;
    EXPECT_EQ(x.format, y.format) << x.name;
    EXPECT_EQ(x.attributes, y.attributes) << x.name;
    expect_same(x.weight, y.weight);
    expect_same(x.weight_scale, y.weight_scale);
    expect_same(x.bias, y.bias);
  }
}

void run_model(GoldenCase& c) {
  const onnx::ModelProto model = model_of(c);
  std::map<std::string, int64_t> counts;
  for (const auto& [op, count] : c.attrs().at("node_counts").as_object())
    counts[op] = count.as_int();
  EXPECT_EQ(node_counts(model), counts);

  const qat::Int8Graph graph = read_qdq(model);
  qat::Int8Session session(graph);
  const Tensor x = test::channels_last(c.input("x"));
  const Tensor y = session.node_value(x, graph.nodes.back().name);
  const float step = y.qparams().scale[0];
  for (const char* role : {"y_ort_no_optimisation", "y_ort_all_optimisations", "y_torch_fakequant"})
    if (c.has_output(role))
      expect_within_one_step(c.name() + ' ' + role, real_numbers(y), c.output(role), step);
  for (const qat::Int8Node& node : graph.nodes) {
    if (!c.has_output("q." + node.name)) continue;
    Tensor codes = session.node_value(x, node.name).with_qparams({{1}, {0}, -1, -128, 255});
    Tensor want = c.output("q." + node.name).with_qparams({{1}, {0}, -1, -128, 255});
    Tensor got = real_numbers(codes);
    if (got.shape().rank() == 4) got = test::channels_first(got);
    expect_within_one_step(node.name, got, real_numbers(want), 1);
  }

  // Our export reads back as the same network; integer biases come out as integers.
  OnnxOptions options;
  const bool real_bias = counts.contains("Cast");  // as the exporter of PyTorch writes them
  options.bias = real_bias ? OnnxBias::real : OnnxBias::int32;
  const onnx::ModelProto ours = parse_onnx(to_onnx(graph, options));
  qat::Int8Graph again = read_qdq(ours);
  expect_same_network(graph, again);
  if (!real_bias) {
    EXPECT_EQ(node_counts(ours), counts);
  }
  c.leave_rest();
}

TEST(OnnxGolden, EveryCaseOfTheGroupAgrees) {
  test::run_golden_group("onnx_qdq", {{"onnx_model", run_model}});
}

}  // namespace
}  // namespace stair::apps
