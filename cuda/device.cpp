#include "cuda/device.h"

#include <cuda_runtime_api.h>

#include "core/error.h"
#include "cuda/device_error.h"

namespace stair::cuda {
namespace {

// "8.6"; empty where there is no GPU.
std::string capability() {
  int device = 0, major = 0, minor = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess)
    return "";
  return str(major, ".", minor);
}

}  // namespace

void check(int code, const std::string& operation) {
  if (code == cudaSuccess) return;
  Failure failure{code, cudaGetErrorName(static_cast<cudaError_t>(code)), operation, 0, 0, ""};
  cudaDriverGetVersion(&failure.driver);
  cudaRuntimeGetVersion(&failure.runtime);
  failure.capability = capability();
  cudaGetLastError();  // the next call starts anew
  throw_device_error(failure);
}

void require_device() {
  int count = 0;
  check(cudaGetDeviceCount(&count), "look for a GPU");
}

}  // namespace stair::cuda
