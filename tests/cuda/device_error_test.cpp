#include "cuda/device_error.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/error.h"

namespace stair::cuda {
namespace {

struct Told {
  std::string what, hint;
  int exit_code;
};

Told told(int code, int driver = 13000, const char* operation = "look for a GPU") {
  try {
    throw_device_error({code, "cudaErrorName", operation, driver, 13000, "6.1"});
  } catch (const Error& e) {
    return {e.what(), e.hint(), e.exit_code()};
  }
}

}  // namespace

TEST(DeviceErrorFault, U01NoDriverIsToldFromAnOldOne) {
  const Told t = told(35, 0);
  EXPECT_EQ(t.what, "CUDA: cannot look for a GPU: no NVIDIA driver found");
  EXPECT_EQ(t.hint, "install the driver, or use the CPU");
  EXPECT_EQ(t.exit_code, 7);
}

TEST(DeviceErrorFault, U02AnOldDriverIsNamedWithBothVersions) {
  const Told t = told(35, 12040);
  EXPECT_EQ(t.what,
            "CUDA: cannot look for a GPU: the NVIDIA driver is for CUDA 12.4, older than the CUDA "
            "13.0 of this build");
  EXPECT_EQ(t.hint, "update the driver");
  EXPECT_EQ(t.exit_code, 7);
}

TEST(DeviceErrorFault, U03WithoutAVisibleGpuTheVariableIsShown) {
  setenv("CUDA_VISIBLE_DEVICES", "none", 1);
  EXPECT_EQ(told(100).what,
            "CUDA: cannot look for a GPU: no GPU is visible; CUDA_VISIBLE_DEVICES is 'none'");
  unsetenv("CUDA_VISIBLE_DEVICES");
  EXPECT_EQ(told(100).what,
            "CUDA: cannot look for a GPU: no GPU is visible; CUDA_VISIBLE_DEVICES is not set");
  EXPECT_EQ(told(100).exit_code, 7);
}

TEST(DeviceErrorFault, U04AGpuWithoutCodeIsNamed) {
  for (const int code : {209, 222}) {
    const Told t = told(code, 13000, "launch batch_norm");
    EXPECT_EQ(t.what,
              "CUDA: cannot launch batch_norm: the build has no code for this GPU, compute "
              "capability 6.1 (cudaErrorName)");
    EXPECT_EQ(t.hint, "configure with -DCMAKE_CUDA_ARCHITECTURES=native");
    EXPECT_EQ(t.exit_code, 7);
  }
}

TEST(DeviceErrorFault, U07UsedUpMemoryHasItsOwnCode) {
  const Told t = told(2, 13000, "allocate 5 bytes");
  EXPECT_EQ(t.what, "CUDA: cannot allocate 5 bytes: the memory of the GPU is used up");
  EXPECT_EQ(t.hint, "use a smaller batch");
  EXPECT_EQ(t.exit_code, 6);
}

TEST(DeviceErrorFault, U08AKernelThatFailedIsADefect) {
  for (const int code : {700, 719}) EXPECT_EQ(told(code).exit_code, 1);
}

TEST(DeviceErrorFault, AnyOtherCodeIsNamed) {
  const Told t = told(214);
  EXPECT_EQ(t.what, "CUDA: cannot look for a GPU: cudaErrorName (214)");
  EXPECT_EQ(t.exit_code, 7);
}

}  // namespace stair::cuda
