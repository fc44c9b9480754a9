#include "nn/graph/dim.h"

#include <gtest/gtest.h>

#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/graph/print.h"
#include "nn/model.h"
#include "tests/nn/values.h"

namespace stair::nn {
namespace {

const Dim kBatchDim{"batch", 1, 4}, kSide{"side", 16};

Graph resnet20(const DynamicShapes& dynamic, const Shape& example = {2, 32, 32, 3}) {
  const auto model = find_model("resnet20").build({.width = 0.25});
  return capture(*model, Variable(Tensor::zeros(example, DType::f32)), dynamic);
}

Tensor run(GraphModule& module, const Shape& shape) {
  module.eval();
  return module(Variable(Tensor::zeros(shape, DType::f32))).value();
}

template <class E, class Call>
void expect_error(const std::string& text, Call call) {
  try {
    call();
    ADD_FAILURE() << "no error: " << text;
  } catch (const E& error) {
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(Dim, SizesInTheBoundsRun) {
  GraphModule module(resnet20({{0, kBatchDim}, {1, kSide}, {2, kSide}}));
  for (const int64_t batch : {1, 4})
    for (const int64_t side : {16, 40})
      EXPECT_EQ(run(module, {batch, side, side, 3}).shape(), (Shape{batch, 10}));
}

TEST(DimFault, EverySizeThatBreaksAConstraintIsNamed) {
  GraphModule module(resnet20({{0, kBatchDim}, {1, kSide}, {2, kSide}}));
  const auto expect = [&](const Shape& shape, const std::string& text) {
    expect_error<ShapeError>(text, [&] { run(module, shape); });
  };
  expect({5, 32, 32, 3}, "'input' is [5,32,32,3]: dimension 0 has size 5, expected batch in [1,4]");
  expect({0, 32, 32, 3}, "dimension 0 has size 0, expected batch in [1,4]");
  expect({2, 12, 12, 3}, "dimension 1 has size 12, expected side >= 16");
  expect({2, 32, 24, 3}, "dimension 2 has size 24, expected 32: it is side, as dimension 1 is");
  expect({2, 32, 32, 4}, "dimension 3 has size 4, expected 3, the size of the example");
  expect({32, 32, 3}, "'input' is [32,32,3], expected 4 dimensions");
}

TEST(DimFault, DimsThatMakeNoSenseAreRefusedAtCapture) {
  const auto expect = [](const DynamicShapes& dynamic, const std::string& text) {
    expect_error<ConfigError>(text, [&] { resnet20(dynamic); });
  };
  expect({{4, kSide}}, "dimension 4 of 'input' has a Dim, but the example is [2,32,32,3]");
  expect({{-1, kSide}}, "dimension -1 of 'input' has a Dim");
  expect({{0, {"", 1, 2}}}, "has a Dim without a name");
  expect({{0, {"batch", 3, 2}}}, "has the bounds 3 to 2");
  expect({{1, kSide}, {2, {"side", 8}}}, "is side >= 8, another is side >= 16");
  expect_error<ShapeError>("dimension 0 has size 2, expected batch in [3,9]", [] {
    resnet20({{0, {"batch", 3, 9}}});
  });
  expect_error<ShapeError>("dimension 2 has size 24, expected 32", [] {
    resnet20({{1, kSide}, {2, kSide}}, {2, 32, 24, 3});
  });
}

TEST(Dim, WithoutThemEverySizeIsFree) {
  const auto model = find_model("resnet20").build({.width = 0.25});
  GraphModule module(capture(*model, Variable(Tensor::zeros({2, 32, 32, 3}, DType::f32))));
  EXPECT_EQ(run(module, {7, 16, 24, 3}).shape(), (Shape{7, 10}));
}

TEST(Dim, CopiesKeepThemAndPrintingShowsThem) {
  const Graph graph = resnet20({{0, kBatchDim}});
  const auto copy = std::dynamic_pointer_cast<GraphModule>(GraphModule(graph).clone());
  expect_error<ShapeError>("dimension 0 has size 9", [&] { run(*copy, {9, 32, 32, 3}); });
  EXPECT_NE(to_text(graph).find(" : [N,32,32,3] (batch in [1,4], 32, 32, 3)\n"), std::string::npos);
}

}  // namespace
}  // namespace stair::nn
