#include "tests/cuda/batch_norm_cases.h"

namespace stair::cuda {
namespace {

using kernels::BatchNormBackward, kernels::BatchNormForward;

template <class T>
std::vector<T> as(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

template <class T>
void forward(const Case& k, const Inputs& in, Outputs<T>& out) {
  const auto c = static_cast<size_t>(k.channels);
  const std::vector<T> x = as<T>(in.x), gamma = as<T>(in.gamma), beta = as<T>(in.beta);
  out.mean = as<T>(in.mean), out.var = as<T>(in.var);
  out.invstd.resize(c), out.y.resize(x.size());
  kernels::run<BatchNormForward<T>>({k.rows, k.channels, k.training, T(1e-5F), x.data(),
                                     data_or_null(gamma), data_or_null(beta), out.mean.data(),
                                     out.var.data(), out.invstd.data(), out.y.data()});
}

template <class T>
void backward(const Case& k, const Inputs& in, Outputs<T>& out) {
  const std::vector<T> x = as<T>(in.x), gy = as<T>(in.gy), gamma = as<T>(in.gamma),
                       mean = as<T>(in.saved_mean), invstd = as<T>(in.saved_invstd);
  out.gx.resize(x.size()), out.ggamma.resize(mean.size()), out.gbeta.resize(mean.size());
  kernels::run<BatchNormBackward<T>>({k.rows, k.channels, k.training, x.data(), gy.data(),
                                      data_or_null(gamma), mean.data(), invstd.data(),
                                      out.gx.data(), out.ggamma.data(), out.gbeta.data()});
}

double largest(const std::vector<double>& values) {
  double most = 1e-30;
  for (const double v : values) most = std::max(most, std::abs(v));
  return most;
}

// Of the terms that gx is the sum of: gx itself is 0 for one row.
double largest_gradient_term(const Inputs& in) {
  double most = 1e-30;
  for (size_t i = 0; i < in.gy.size(); ++i) {
    const size_t c = i % in.saved_invstd.size();
    const double gamma = in.gamma.empty() ? 1.0 : static_cast<double>(in.gamma[c]);
    most = std::max(most, std::abs(gamma * static_cast<double>(in.saved_invstd[c]) *
                                   static_cast<double>(in.gy[i])));
  }
  return most;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Case& k) {
  return out << "rows " << k.rows << " channels " << k.channels << " training " << k.training
             << " affine " << k.affine << " mean " << k.mean << " deviation " << k.deviation;
}

std::vector<Case> edge_cases() {
  std::vector<Case> cases;
  for (const bool training : {true, false}) {
    for (int64_t channels = 1; channels <= 70; ++channels)
      cases.push_back({1 + channels * 7 % 41, channels, training, channels % 2 == 0, 0.5F, 1});
    // One slice and two, the most slices, more channels than threads that sum.
    for (const auto& [rows, channels] : std::vector<std::pair<int64_t, int64_t>>{
             {0, 3}, {63, 5}, {64, 5}, {40000, 1}, {1100, 130}, {1, 140000}})
      cases.push_back({rows, channels, training, true, 1, 1});
    cases.push_back({5000, 17, training, true, 1000, 1});
    cases.push_back({300, 70, training, false, 1e5F, 8});
  }
  return cases;
}

Case random_case(Random& random) {
  const auto up_to = [&](uint64_t n) { return 1 + static_cast<int64_t>(random.below(n)); };
  return {random.below(20) == 0 ? 1 : up_to(300),
          up_to(70),
          random.below(4) != 0,
          random.below(2) == 0,
          random.uniform(-2, 2),
          random.uniform(0.5F, 3)};
}

Inputs inputs(const Case& k, uint64_t seed) {
  Random random(seed);
  const auto normal = [&](int64_t n) { return test::random_normal(random, n); };
  Inputs in{normal(k.rows * k.channels),
            normal(k.rows * k.channels),
            normal(k.affine ? k.channels : 0),
            normal(k.affine ? k.channels : 0),
            normal(k.channels),
            normal(k.channels),
            {},
            {}};
  for (size_t i = 0; i < in.x.size(); ++i)
    in.x[i] = k.deviation * in.x[i] + k.mean * static_cast<float>(i % in.mean.size() % 5);
  for (float& v : in.var) v = 0.5F + v * v;
  Outputs<double> out;
  forward(k, in, out);
  in.saved_mean.assign(out.mean.begin(), out.mean.end());
  in.saved_invstd.assign(out.invstd.begin(), out.invstd.end());
  return in;
}

template <class T>
Outputs<T> on_cpu(const Case& k, const Inputs& in) {
  Outputs<T> out;
  forward(k, in, out);
  backward(k, in, out);
  return out;
}
template Outputs<float> on_cpu<float>(const Case&, const Inputs&);
template Outputs<double> on_cpu<double>(const Case&, const Inputs&);

void expect_agreement(const Case& k, const Inputs& in, const Outputs<float>& got,
                      const Outputs<double>& expected) {
  const auto close = [&](const char* what, const std::vector<float>& values,
                         const std::vector<double>& wanted, double size) {
    SCOPED_TRACE(testing::Message() << what << " of " << k);
    test::expect_close(values, wanted, size, 1e-6);
  };
  close("mean", got.mean, expected.mean, largest(expected.mean));
  close("var", got.var, expected.var, largest(expected.var));
  close("invstd", got.invstd, expected.invstd, largest(expected.invstd));
  close("y", got.y, expected.y, largest(expected.y));
  close("gx", got.gx, expected.gx, largest_gradient_term(in));
  close("ggamma", got.ggamma, expected.ggamma, largest(expected.ggamma));
  close("gbeta", got.gbeta, expected.gbeta, largest(expected.gbeta));
}

void expect_same_bits(const Outputs<float>& got, const Outputs<float>& expected) {
  for (const auto member :
       {&Outputs<float>::mean, &Outputs<float>::var, &Outputs<float>::invstd, &Outputs<float>::y,
        &Outputs<float>::gx, &Outputs<float>::ggamma, &Outputs<float>::gbeta}) {
    const std::vector<float>&a = got.*member, &b = expected.*member;
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
  }
}

}  // namespace stair::cuda
