// Memory of the current GPU. Allocation, kernels and release follow each other in the order of the
// calls (default stream), so that memory may be released while a kernel that uses it is queued.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stair::cuda {

// Throws MemoryError, DeviceError.
class DeviceMemory {
 public:
  explicit DeviceMemory(size_t bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  void* data() const { return data_; }
  // From and to the host. Reading waits for the kernels queued before.
  void write(const void* from, size_t bytes);
  void read(void* to, size_t bytes) const;

 private:
  void* data_ = nullptr;
};

// `n` elements, at first garbage.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(int64_t n) : n_(static_cast<size_t>(n)), memory_(n_ * sizeof(T)) {}
  explicit DeviceArray(const std::vector<T>& values)
      : DeviceArray(static_cast<int64_t>(values.size())) {
    memory_.write(values.data(), n_ * sizeof(T));
  }
  T* data() const { return static_cast<T*>(memory_.data()); }
  std::vector<T> values() const {
    std::vector<T> copy(n_);
    memory_.read(copy.data(), n_ * sizeof(T));
    return copy;
  }

 private:
  size_t n_;
  DeviceMemory memory_;
};

}  // namespace stair::cuda
