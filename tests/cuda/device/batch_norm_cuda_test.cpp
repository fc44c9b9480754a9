// The kernels on a GPU. Where there is none, the suite says why and skips.
#include "core/error.h"
#include "cuda/device.h"
#include "cuda/device_memory.h"
#include "tests/cuda/batch_norm_cases.h"

namespace stair::cuda {
namespace {

using Array = DeviceArray<float>;

// Null for a case without.
struct Operand {
  explicit Operand(const std::vector<float>& values) : array(values), given(!values.empty()) {}
  const float* data() const { return given ? array.data() : nullptr; }
  Array array;
  bool given;
};

Outputs<float> on_gpu(const Case& k, const Inputs& in) {
  const int64_t c = k.channels, n = k.rows * c;
  const Array x(in.x), gy(in.gy), saved_mean(in.saved_mean), saved_invstd(in.saved_invstd);
  const Array mean(in.mean), var(in.var), invstd(c), y(n), gx(n), ggamma(c), gbeta(c);
  const Operand gamma(in.gamma), beta(in.beta);
  batch_norm_forward({k.rows, c, k.training, 1e-5F, x.data(), gamma.data(), beta.data(),
                      mean.data(), var.data(), invstd.data(), y.data()});
  batch_norm_backward({k.rows, c, k.training, x.data(), gy.data(), gamma.data(), saved_mean.data(),
                       saved_invstd.data(), gx.data(), ggamma.data(), gbeta.data()});
  return {mean.values(), var.values(),    invstd.values(), y.values(),
          gx.values(),   ggamma.values(), gbeta.values()};
}

class BatchNormCuda : public testing::Test {
 protected:
  void SetUp() override {
    try {
      require_device();
    } catch (const DeviceError& e) {
      GTEST_SKIP() << e.what();
    }
  }
};

}  // namespace

TEST_F(BatchNormCuda, AgreesWithTheDefinitionInDouble) {
  uint64_t seed = 0;
  for (const Case& k : edge_cases()) {
    const Inputs in = inputs(k, ++seed);
    expect_agreement(k, in, on_gpu(k, in), on_cpu<double>(k, in));
    if (HasFatalFailure()) return;
  }
}

TEST_F(BatchNormCuda, GivesTheBitsOfItsThreadsOnTheCpu) {
  Random random(1);
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Case k = random_case(random);
    const Inputs in = inputs(k, seed);
    SCOPED_TRACE(testing::Message() << k);
    expect_same_bits(on_gpu(k, in), on_threads(k, in, InOrder()));
  }
}

TEST_F(BatchNormCuda, UpdatesTheRunningStatistics) {
  const std::vector<float> mean{1, -2}, var{3, 4};
  const Array m(mean), v(var), running_mean(mean), running_var(std::vector<float>{1, 1});
  update_running({5, 2, 0.25, m.data(), v.data(), running_mean.data(), running_var.data()});
  EXPECT_EQ(running_mean.values(), mean);
  EXPECT_EQ(running_var.values(), (std::vector<float>{0.75F + 0.25F * 3.75F, 0.75F + 0.25F * 5}));
}

// These need no GPU.
TEST(BatchNormDeviceFault, OneRowHasNoRunningVariance) {
  EXPECT_THROW(update_running({1, 2, 0.1, nullptr, nullptr, nullptr, nullptr}), ShapeError);
}

TEST(BatchNormDeviceFault, WithoutADriverEveryCallSaysSo) {
  try {
    require_device();
  } catch (const DeviceError& e) {
    if (std::string(e.what()).find("no NVIDIA driver") == std::string::npos)
      GTEST_SKIP() << e.what();
    EXPECT_STREQ(e.what(), "CUDA: cannot look for a GPU: no NVIDIA driver found");
    const auto message = [](const auto& call) -> std::string {
      try {
        call();
      } catch (const DeviceError& error) {
        return error.what();
      }
      return "";
    };
    EXPECT_EQ(message([] { DeviceMemory memory(8); }),
              "CUDA: cannot allocate 8 bytes: no NVIDIA driver found");
    EXPECT_EQ(message([] {
                update_running({2, 2, 0.1, nullptr, nullptr, nullptr, nullptr});
              }),
              "CUDA: cannot launch batch_norm: no NVIDIA driver found");
    return;
  }
  GTEST_SKIP() << "there is a driver";
}

}  // namespace stair::cuda
