#include <gtest/gtest.h>

#include <cmath>

#include "core/file.h"
#include "nn/finite.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "nn/weights.h"
#include "tests/nn/values.h"
#include "tests/support/real_files.h"
#include "tests/support/temporary_folder.h"

namespace stair::nn {
namespace {

std::shared_ptr<Module> small(uint64_t seed, int64_t classes = 4) {
  return find_model("resnet20").build({.num_classes = classes, .width = 0.25, .seed = seed});
}

void expect_equal(const Module& a, const Module& b) {
  const auto left = a.named_state(), right = b.named_state();
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i)
    EXPECT_TRUE(same(left[i].variable.value(), right[i].variable.value())) << left[i].name;
}

void drop(std::vector<NamedTensor>& tensors, const std::string& name) {
  ASSERT_EQ(std::erase_if(tensors, [&](const NamedTensor& t) { return t.name == name; }), 1u);
}

TEST(StateDict, StoresConvolutionsAsTorchDoes) {
  const auto model = small(1);
  const Tensor own = model->named_parameters()[0].variable.value();
  const Tensor saved = state_dict(*model)[0].tensor;
  ASSERT_EQ(own.shape(), (Shape{4, 3, 3, 3}));
  for (int64_t o = 0; o < 4; ++o)
    for (int64_t y = 0; y < 3; ++y)
      for (int64_t x = 0; x < 3; ++x)
        for (int64_t i = 0; i < 3; ++i)
          EXPECT_EQ(own.data<float>()[((o * 3 + y) * 3 + x) * 3 + i],
                    saved.data<float>()[((o * 3 + i) * 3 + y) * 3 + x]);
}

TEST(StateDict, LayoutsAreInverseForEveryElementSize) {
  Tensor bytes = Tensor::empty({2, 3, 4, 5}, DType::u8);
  for (int i = 0; i < 120; ++i) bytes.data<uint8_t>()[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(to_torch_layout(bytes).shape(), (Shape{2, 5, 3, 4}));
  EXPECT_TRUE(same(from_torch_layout(to_torch_layout(bytes)), bytes));
  const Tensor q = bytes.with_qparams({{1.F, 2.F}, {0, 0}, 0, 0, 255});
  EXPECT_EQ(to_torch_layout(q).qparams(), q.qparams());
}

TEST(StateDict, SurvivesAFile) {
  const support::TemporaryFolder folder;
  const auto a = small(1), b = small(2);
  (*a)(random_variable({2, 16, 16, 3}, 1));
  save_weights(folder / "w.safetensors", *a);
  load_weights(*b, folder / "w.safetensors");
  expect_equal(*a, *b);
}

TEST(StateDict, IsASnapshot) {
  const auto model = small(1);
  const std::vector<NamedTensor> before = state_dict(*model);
  (*model)(random_variable({2, 16, 16, 3}, 1));
  for (const NamedTensor& t : before)
    if (t.name == "bn1.running_mean") {
      EXPECT_EQ(t.tensor.data<float>()[0], 0);
    }
}

TEST(StateDict, FitsTheGraphOfTheModel) {
  const auto a = small(1), b = small(2);
  GraphModule graph(capture(*b, random_variable({1, 16, 16, 3}, 1)));
  load_state_dict(graph, state_dict(*a));
  expect_equal(*a, graph);
  expect_equal(*a, *b);
}

TEST(StateDict, TakesOffThePrefixOfDataParallel) {
  const auto a = small(1), b = small(2);
  std::vector<NamedTensor> tensors = state_dict(*a);
  for (NamedTensor& t : tensors) t.name = "module." + t.name;
  load_state_dict(*b, tensors);
  expect_equal(*a, *b);
}

TEST(StateDict, CountersMayBeMissing) {
  const auto a = small(1), b = small(2);
  std::vector<NamedTensor> tensors = state_dict(*a);
  std::erase_if(tensors, [](const auto& t) { return t.name.ends_with("num_batches_tracked"); });
  load_state_dict(*b, tensors);
  expect_equal(*a, *b);
}

TEST(StateDictFault, DifferencesAreListedAndNothingIsChanged) {
  const auto a = small(1), b = small(2), untouched = small(2);
  std::vector<NamedTensor> tensors = state_dict(*a);
  drop(tensors, "bn1.bias");
  tensors.push_back({"extra", Tensor::zeros({1}, DType::f32)});
  tensors[0].tensor = Tensor::zeros({4, 3, 5, 5}, DType::f32);
  EXPECT_EQ(
      message_of<FormatError>([&] { load_state_dict(*b, tensors, {.source = "w.pth"}); }),
      "w.pth: does not fit the model: 1 missing: bn1.bias; 1 unexpected: extra; 1 mismatched: "
      "conv1.weight is [4,3,5,5] f32, expected [4,3,3,3] f32");
  expect_equal(*b, *untouched);
}

TEST(StateDictFault, P20PrefixesOfWrappersAreTakenOffWithALine) {
  for (const std::string prefix : {"module.", "_orig_mod.", "ema.", "ema.module._orig_mod."}) {
    const auto a = small(1), b = small(2);
    std::vector<NamedTensor> tensors = state_dict(*a);
    for (NamedTensor& t : tensors) t.name = prefix + t.name;
    tensors.push_back({"n_averaged", Tensor::zeros({}, DType::s64)});
    std::vector<std::string> notes;
    load_state_dict(*b, tensors, {.notes = &notes});
    expect_equal(*a, *b);
    EXPECT_EQ(notes, std::vector<std::string>{"prefix '" + prefix + "' taken off all names"});
    tensors[3].name = "bn1.running_mean";
    EXPECT_EQ(message_of<FormatError>([&] { load_state_dict(*b, tensors, {.source = "w.pth"}); }),
              "w.pth: names begin with '" + prefix.substr(0, prefix.find('.') + 1) +
                  "', but not all: bn1.running_mean");
  }
}

TEST(StateDictFault, LongListsAreCut) {
  const auto a = small(1);
  EXPECT_EQ(message_of<FormatError>([&] { load_state_dict(*a, {}); }),
            "state dict: does not fit the model: 97 missing: conv1.weight, bn1.weight, bn1.bias, "
            "bn1.running_mean, bn1.running_var, layer1.0.conv1.weight, layer1.0.bn1.weight, "
            "layer1.0.bn1.bias, layer1.0.bn1.running_mean, layer1.0.bn1.running_var ... and 87 "
            "more");
}

TEST(StateDictFault, NamesThatOccurTwiceAreRefused) {
  const auto a = small(1);
  std::vector<NamedTensor> tensors = state_dict(*a);
  tensors.push_back(tensors[0]);
  EXPECT_EQ(message_of<FormatError>([&] { load_state_dict(*a, tensors); }),
            "state dict: 'conv1.weight' occurs twice");
}

TEST(StateDictFault, AnotherNumberOfClassesPointsToResetHead) {
  const auto a = small(1, 10), b = small(2, 4), twin = small(2, 4);
  const std::vector<NamedTensor> tensors = state_dict(*a);
  try {
    load_state_dict(*b, tensors);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(error.hint().find("--reset-head"), std::string::npos);
  }
  load_state_dict(*b, tensors, {.reset_head = true});
  const auto left = b->named_parameters(), mine = twin->named_parameters();
  EXPECT_TRUE(same(left.back().variable.value(), mine.back().variable.value()));
  EXPECT_TRUE(same(left[0].variable.value(), a->named_parameters()[0].variable.value()));
}

TEST(StateDictFault, OtherDifferencesDoNotPointToResetHead) {
  const auto a = small(1, 10), b = small(2, 4);
  std::vector<NamedTensor> tensors = state_dict(*a);
  drop(tensors, "bn1.bias");
  try {
    load_state_dict(*b, tensors);
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.hint(), "");
  }
}

TEST(StateDictFault, WeightsThatAreNotFiniteAreNamed) {
  const support::TemporaryFolder folder;
  const auto a = small(1), b = small(2);
  const std::string path = folder / "w.safetensors";
  a->named_parameters()[1].variable.value().data<float>()[2] = -INFINITY;
  save_weights(path, *a);
  EXPECT_EQ(message_of<NumericsError>([&] { load_weights(*b, path); }),
            path + ": 'bn1.weight' [4] f32 is -inf at element 2");
  load_weights(*b, path, {.allow_nonfinite = true});
  expect_equal(*a, *b);
}

TEST(Finite, TheFirstBadElementIsFound) {
  Tensor t = Tensor::zeros({100000}, DType::f32);
  EXPECT_EQ(first_non_finite(t), -1);
  t.data<float>()[99999] = NAN;
  EXPECT_EQ(first_non_finite(t), 99999);
  t.data<float>()[40000] = INFINITY;
  EXPECT_EQ(first_non_finite(t), 40000);
  EXPECT_EQ(first_non_finite(Tensor::full<double>({2}, HUGE_VAL)), 0);
  EXPECT_EQ(first_non_finite(Tensor::zeros({2}, DType::s64)), -1);
  EXPECT_EQ(first_non_finite(Tensor::zeros({0}, DType::f32)), -1);
}

TEST(RealWeights, FitResnet20) {
  const std::string path = support::shared_file("models/resnet20.safetensors");
  if (path.empty()) GTEST_SKIP() << "no real weights: STAIR_SHARED names no folder with models/";
  const auto model = find_model("resnet20").build({});
  load_weights(*model, path);
}

TEST(RealWeights, FitMobilenetV2) {
  const std::string path = support::shared_file("models/mobilenet_v2_tf_imagenet.safetensors");
  if (path.empty()) GTEST_SKIP() << "no real weights: STAIR_SHARED names no folder with models/";
  const auto model = find_model("mobilenet_v2").build({.same_upper_padding = true});
  load_weights(*model, path);
}

}  // namespace
}  // namespace stair::nn
