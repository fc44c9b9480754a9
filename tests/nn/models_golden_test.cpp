// Whole networks with weights made by a rule, against torchvision's: logits, loss, gradients, batch
// norm statistics, a step.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/cross_entropy.h"
#include "core/file.h"
#include "nn/model.h"
#include "nn/optimizer.h"
#include "nn/state_dict.h"
#include "tests/support/golden.h"

namespace stair::nn {
namespace {

// Number i of tensor t, in [0, 1).
double rule(uint32_t t, uint32_t i, uint32_t seed) {
  uint32_t h = i * 0x9E3779B1U + t * 0x85EBCA77U + seed * 0xC2B2AE3DU;
  h ^= h >> 16;
  h *= 0x85EBCA6BU;
  h ^= h >> 13;
  h *= 0xC2B2AE35U;
  h ^= h >> 16;
  return h * 0x1p-32;
}

// Element i = formula(number i).
template <class F>
void fill(const Tensor& tensor, uint32_t t, uint32_t seed, const F& formula) {
  for (int64_t i = 0; i < tensor.numel(); ++i)
    tensor.data<float>()[i] = static_cast<float>(formula(rule(t, static_cast<uint32_t>(i), seed)));
}

// The entry of the index, and its tensors.
struct Reference {
  explicit Reference(const std::string& name) {
    const std::string path = test::golden_folder() + "/index.json";
    index = parse_json(read_file(path, 1 << 24, FileUse::model), path);
    for (const Json& c : index.at("cases").as_array())
      if (c.at("name").as_string() == name) entry = &c;
    tensors = read_safetensors(test::golden_folder() + "/" + entry->at("file").as_string());
  }
  const Tensor& output(const std::string& role) const {
    return tensors.at(entry->at("outputs").at(role).as_string());
  }
  double rtol(const std::string& role) const {
    return entry->at("tol").at("rtol").at(role).as_double();
  }
  Json index;
  const Json* entry = nullptr;
  SafeTensors tensors;
};

double element(const Tensor& t, int64_t i) {
  return t.dtype() == DType::f64 ? t.data<double>()[i] : static_cast<double>(t.data<float>()[i]);
}

double largest(const Tensor& t) {
  double m = 0;
  for (int64_t i = 0; i < t.numel(); ++i) m = std::max(m, std::abs(element(t, i)));
  return m;
}

double l2(const Tensor& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.numel(); ++i) sum += element(t, i) * element(t, i);
  return std::sqrt(sum);
}

class Comparison {
 public:
  // exact: the numbers of float64, with a tolerance of its own; else those of float32 or, for
  // gradients, of float64 as well, with the tolerance of the case.
  Comparison(const Reference& reference, bool exact) : reference_(reference), exact_(exact) {}

  bool covers(const std::string& role) const {
    return !exact_ || reference_.entry->at("outputs").find(role + "_float64") != nullptr;
  }
  const Tensor& want(const std::string& role) const {
    const bool has64 = reference_.entry->at("outputs").find(role + "_float64") != nullptr;
    return reference_.output(has64 ? role + "_float64" : role);
  }
  double tolerance(const std::string& role) const { return exact_ ? 1e-6 : reference_.rtol(role); }

  // Differences over the largest magnitude.
  void whole(const std::string& role, const Tensor& got) const {
    if (!covers(role)) return;
    const Tensor& expected = want(role);
    ASSERT_EQ(got.numel(), expected.numel()) << role;
    double worst = 0;
    for (int64_t i = 0; i < got.numel(); ++i)
      worst = std::max(worst, std::abs(element(got, i) - element(expected, i)));
    EXPECT_LE(worst, tolerance(role) * largest(expected)) << role;
  }

  // Differences over each entry.
  void entries(const std::string& role, const std::vector<double>& got) const {
    if (!covers(role)) return;
    const Tensor& expected = want(role);
    ASSERT_EQ(static_cast<int64_t>(got.size()), expected.numel()) << role;
    const double floor = 1e-5 * largest(expected);
    for (int64_t i = 0; i < expected.numel(); ++i) {
      const double e = element(expected, i);
      EXPECT_LE(std::abs(got[static_cast<size_t>(i)] - e), tolerance(role) * (e + floor))
          << role << " of entry " << i;
    }
  }

  // The first eight elements and the norms of the gradients of all parameters.
  void gradients(const std::string& prefix, const Module& model) const {
    const std::vector<NamedVariable> parameters = model.named_parameters();
    std::vector<double> norms;
    for (const NamedVariable& p : parameters) norms.push_back(l2(p.variable.grad()));
    entries(prefix + "_l2", norms);
    const Tensor &first = want(prefix + "_first8"), &wanted = want(prefix + "_l2");
    const auto rms = [&](size_t row) {
      return element(wanted, static_cast<int64_t>(row)) /
             std::sqrt(static_cast<double>(parameters[row].variable.value().numel()));
    };
    double largest_rms = 0;
    for (size_t row = 0; row < parameters.size(); ++row)
      largest_rms = std::max(largest_rms, rms(row));
    for (size_t row = 0; row < parameters.size(); ++row) {
      const Tensor g = to_torch_layout(parameters[row].variable.grad());
      const double allowed = tolerance(prefix + "_first8") * (rms(row) + 1e-5 * largest_rms);
      for (int64_t i = 0; i < 8; ++i)
        EXPECT_NEAR(element(g, i), element(first, static_cast<int64_t>(row) * 8 + i), allowed)
            << prefix << " of " << parameters[row].name;
    }
  }

 private:
  const Reference& reference_;
  bool exact_;
};

void fill_by_rule(Module& model, uint32_t seed) {
  std::vector<NamedTensor> state = state_dict(model);
  for (uint32_t t = 0; t < state.size(); ++t) {
    auto& [name, value] = state[t];
    if (value.shape().rank() >= 2) {
      const double fan_in = static_cast<double>(value.numel() / value.size(0));
      fill(value, t, seed, [&](double u) { return (u - 0.5) * std::sqrt(24 / fan_in); });
    } else if (name.ends_with("bias") || name.ends_with("running_mean")) {
      fill(value, t, seed, [](double u) { return 0.2 * (u - 0.5); });
    } else if (value.dtype() == DType::f32) {
      fill(value, t, seed, [](double u) { return 0.5 + u; });
    }
  }
  load_state_dict(model, state);
}

Tensor as_double(const Tensor& t) {
  if (t.dtype() != DType::f32) return t;
  const Tensor out = Tensor::empty(t.shape(), DType::f64);
  for (int64_t i = 0; i < t.numel(); ++i) out.data<double>()[i] = element(t, i);
  return out;
}

Tensor picture(const Json& attrs, uint32_t seed) {
  const Tensor x = Tensor::empty(
      {attrs.at("batch").as_int(), 3, attrs.at("height").as_int(), attrs.at("width").as_int()},
      DType::f32);
  fill(x, 65535, seed, [](double u) { return (u - 0.5) * 3.4641016151377544; });
  return from_torch_layout(x);
}

std::pair<std::vector<double>, std::vector<double>> buffer_sums(const Module& model) {
  std::vector<double> sums, norms;
  for (const NamedVariable& b : model.named_buffers()) {
    if (b.name.ends_with("num_batches_tracked")) continue;
    double sum = 0;
    for (int64_t i = 0; i < b.variable.value().numel(); ++i) sum += element(b.variable.value(), i);
    sums.push_back(sum);
    norms.push_back(l2(b.variable.value()));
  }
  return {sums, norms};
}

void expect_training_step(const std::string& name, bool exact) {
  const Reference reference(name);
  const Json& attrs = reference.entry->at("attrs");
  const uint32_t seed = static_cast<uint32_t>(attrs.at("seed").as_uint());
  const Comparison compare(reference, exact);
  const auto model = find_model(name).build({.dropout = 0.0});
  fill_by_rule(*model, seed);
  Tensor x = picture(attrs, seed);
  if (exact) {
    x = as_double(x);
    for (NamedVariable& s : model->named_state())
      s.variable.set_value(as_double(s.variable.value()));
  }
  const Tensor& labels =
      reference.tensors.at(reference.entry->at("inputs").at("labels").as_string());

  model->eval();
  Variable logits = (*model)(Variable(x));
  compare.whole("logits_eval", logits.value());
  Variable loss = autograd::cross_entropy(logits, labels);
  compare.whole("frozen_bn_loss", loss.value());
  loss.backward();
  compare.gradients("frozen_bn_grad", *model);
  model->zero_grad();

  model->train();
  logits = (*model)(Variable(x));
  compare.whole("logits_train", logits.value());
  loss = autograd::cross_entropy(logits, labels);
  compare.whole("loss", loss.value());
  loss.backward();
  compare.gradients("grad", *model);
  const auto [sums, norms] = buffer_sums(*model);
  compare.whole("bn_buffer_sum", Tensor::from<double>(sums, {static_cast<int64_t>(sums.size())}));
  compare.entries("bn_buffer_l2", norms);

  Sgd sgd({{model->named_parameters(), 1, 1e-4}}, {.momentum = 0.9});
  sgd.step(0.01);
  std::vector<double> moved;
  for (const NamedVariable& p : model->named_parameters()) moved.push_back(l2(p.variable.value()));
  compare.entries("param_l2_after_step", moved);
  model->eval();
  const autograd::NoGrad no_grad;
  compare.whole("logits_eval_after_step", (*model)(Variable(x)).value());
}

// Logits in both modes, gradients and batch norm statistics, in f32 against torchvision's in
// double.
void expect_torchvisions_mobilenet_v3(const std::string& name) {
  const SafeTensors golden =
      read_safetensors(STAIR_SOURCE_DIR "/tests/golden/models/mobilenet_v3.safetensors");
  const auto expect_near = [&](const Tensor& got, const char* role, double tolerance = 3e-5) {
    const Tensor& want = golden.at(name + role);
    ASSERT_EQ(got.numel(), want.numel()) << name << role;
    for (int64_t i = 0; i < got.numel(); ++i)
      ASSERT_NEAR(element(got, i), element(want, i), tolerance * largest(want))
          << name << role << i;
  };
  const auto vector = [](const std::vector<double>& v) {
    return Tensor::from<double>(v, {static_cast<int64_t>(v.size())});
  };
  const auto model = find_model(name).build({.dropout = 0.0});
  fill_by_rule(*model, 1);
  Tensor x = Tensor::empty({2, 3, 64, 64}, DType::f32);
  fill(x, 65535, 1, [](double u) { return (u - 0.5) * 3.4641016151377544; });
  x = from_torch_layout(x);
  model->eval();
  const Variable logits = (*model)(Variable(x));
  expect_near(logits.value(), ".logits_eval");
  autograd::cross_entropy(logits, Tensor::from<int64_t>({3, 700}, {2})).backward();
  std::vector<double> norms, variances;
  for (const NamedVariable& p : model->named_parameters()) norms.push_back(l2(p.variable.grad()));
  expect_near(vector(norms), ".grad_eval_l2", 3e-4);
  model->train();
  expect_near((*model)(Variable(x)).value(), ".logits_train");
  for (const NamedVariable& b : model->named_buffers())
    if (b.name.ends_with("running_var")) variances.push_back(l2(b.variable.value()));
  expect_near(vector(variances), ".running_var_l2");
}

// The case gives numbers 0 to 7 of tensor 3 with seed 1 and number 999999 of tensor 61 with seed 5.
TEST(ModelsGolden, TheRuleGivesItsNumbers) {
  const Reference reference("fill_rule_check");
  for (uint32_t i = 0; i < 8; ++i)
    EXPECT_EQ(rule(3, i, 1), element(reference.output("u_first8"), i));
  EXPECT_EQ(rule(61, 999999, 5), element(reference.output("last_u_of_1e6"), 0));
}

TEST(ModelsGolden, FilledParametersBeginAsTorchs) {
  for (const char* name : {"resnet18", "mobilenet_v2"}) {
    const Reference reference(name);
    const auto model = find_model(name).build({});
    fill_by_rule(*model, 1);
    const Tensor& first = reference.output("param_first4_initial");
    int64_t row = 0;
    for (const NamedVariable& p : model->named_parameters()) {
      const Tensor value = to_torch_layout(p.variable.value());
      for (int64_t i = 0; i < 4; ++i)
        EXPECT_EQ(element(value, i), element(first, row * 4 + i)) << p.name;
      ++row;
    }
  }
}

TEST(ModelsGolden, Resnet18TrainsAsTorchvisions) {
  expect_training_step("resnet18", false);
}
TEST(ModelsGolden, MobilenetV2TrainsAsTorchvisions) {
  expect_training_step("mobilenet_v2", false);
}
TEST(ModelsGolden, MobilenetV3IsTorchvisions) {
  expect_torchvisions_mobilenet_v3("mobilenet_v3_small");
  expect_torchvisions_mobilenet_v3("mobilenet_v3_large");
}
TEST(ModelsInDoubleSlow, Resnet18TrainsAsTorchvisions) {
  expect_training_step("resnet18", true);
}
TEST(ModelsInDoubleSlow, MobilenetV2TrainsAsTorchvisions) {
  expect_training_step("mobilenet_v2", true);
}

}  // namespace
}  // namespace stair::nn
