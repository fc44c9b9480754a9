#include "cuda/device_error.h"

#include <cstdlib>

#include "core/error.h"

namespace stair::cuda {
namespace {

// Values of cudaError_t, here so that this file needs no CUDA.
constexpr int kMemory = 2, kOldDriver = 35, kNoDevice = 100, kNoKernel = 209, kNewPtx = 222;
constexpr int kIllegalAddress = 700, kLaunchFailure = 719;

std::string version(int number) {
  return str(number / 1000, ".", number % 1000 / 10);
}

std::string visible_devices() {
  const char* value = std::getenv("CUDA_VISIBLE_DEVICES");
  return value == nullptr ? "CUDA_VISIBLE_DEVICES is not set"
                          : str("CUDA_VISIBLE_DEVICES is '", value, "'");
}

}  // namespace

void throw_device_error(const Failure& f) {
  const std::string failed = str("CUDA: cannot ", f.operation, ": ");
  switch (f.code) {
    case kOldDriver:  // the code also where there is no driver
      if (f.driver == 0)
        throw DeviceError(failed + "no NVIDIA driver found", "install the driver, or use the CPU");
      throw DeviceError(
          failed + str("the NVIDIA driver is for CUDA ", version(f.driver),
                       ", older than the CUDA ", version(f.runtime), " of this build"),
          "update the driver");
    case kNoDevice:
      throw DeviceError(failed + "no GPU is visible; " + visible_devices());
    case kNoKernel:
    case kNewPtx:
      throw DeviceError(failed + str("the build has no code for this GPU, compute capability ",
                                     f.capability, " (", f.name, ")"),
                        "configure with -DCMAKE_CUDA_ARCHITECTURES=native");
    case kMemory:
      throw MemoryError(failed + "the memory of the GPU is used up", "use a smaller batch");
    case kIllegalAddress:
    case kLaunchFailure:
      throw Error(failed + str("a kernel failed earlier (", f.name, "); the GPU cannot be used ",
                               "any more by this process"));
    default:
      throw DeviceError(failed + str(f.name, " (", f.code, ")"));
  }
}

}  // namespace stair::cuda
