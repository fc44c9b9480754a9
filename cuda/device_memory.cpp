#include "cuda/device_memory.h"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "core/error.h"
#include "cuda/device.h"

namespace stair::cuda {

DeviceMemory::DeviceMemory(size_t bytes) {
  check(cudaMallocAsync(&data_, std::max<size_t>(1, bytes), nullptr),
        str("allocate ", bytes, " bytes"));
}

DeviceMemory::~DeviceMemory() {
  cudaFreeAsync(data_, nullptr);
}

void DeviceMemory::write(const void* from, size_t bytes) {
  check(cudaMemcpy(data_, from, bytes, cudaMemcpyHostToDevice), "write to the GPU");
}

void DeviceMemory::read(void* to, size_t bytes) const {
  check(cudaMemcpy(to, data_, bytes, cudaMemcpyDeviceToHost), "read from the GPU");
}

}  // namespace stair::cuda
