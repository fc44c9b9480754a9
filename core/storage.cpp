#include "core/storage.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace stair {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

// Size classes: powers of two with four steps between, so that at most a fifth of a block is
// unused.
size_t size_class(size_t bytes) {
  size_t step = 64;
  while (step * 8 < bytes) step *= 2;
  return std::max<size_t>(kAlignment, (bytes + step - 1) / step * step);
}

// Large blocks lie on huge pages where the system has them: the first touch of small pages costs as
// much as the arithmetic of a whole step, and every later one a look into the page table.
void* from_system(size_t size) {
  if (size < 2 * kHugePage) return std::aligned_alloc(kAlignment, size);
  void* block = std::aligned_alloc(kHugePage, (size + kHugePage - 1) / kHugePage * kHugePage);
  if (block != nullptr) ::madvise(block, size, MADV_HUGEPAGE);
  return block;
}

class Cache {
 public:
  std::byte* take(size_t size) {
    {
      std::lock_guard lock(mutex_);
      live_ += size;
      peak_ = std::max(peak_, live_);
      auto& free = free_[size];
      if (!free.empty()) {
        std::byte* block = free.back();
        free.pop_back();
        cached_ -= size;
        return block;
      }
      ++system_calls_;
    }
    void* block = from_system(size + kReadSlack);
    if (block == nullptr) {
      std::lock_guard lock(mutex_);
      live_ -= size;
      throw MemoryError(
          str("out of memory: ", size, " bytes were asked for, ", live_, " are in use"),
          "use a smaller batch");
    }
    return static_cast<std::byte*>(block);
  }

  void give(std::byte* block, size_t size) {
    std::lock_guard lock(mutex_);
    live_ -= size;
    cached_ += size;
    free_[size].push_back(block);
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return {live_, peak_, cached_, system_calls_};
  }

  void reset_peak() {
    std::lock_guard lock(mutex_);
    peak_ = live_;
  }

  void release() {
    std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : free_)
      for (std::byte* block : blocks) std::free(block);
    free_.clear();
    cached_ = 0;
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<std::byte*>> free_;
  size_t live_ = 0, peak_ = 0, cached_ = 0, system_calls_ = 0;
};

// Never destroyed: tensors with static lifetime may return blocks at exit.
Cache& cache() {
  static Cache* instance = new Cache;
  return *instance;
}

}  // namespace

MemoryStats memory_stats() {
  return cache().stats();
}
void reset_peak_memory() {
  cache().reset_peak();
}
void release_cached_memory() {
  cache().release();
}

std::shared_ptr<std::byte> allocate(size_t bytes) {
  const size_t size = size_class(bytes);
  return {cache().take(size), [size](std::byte* block) { cache().give(block, size); }};
}

}  // namespace stair
