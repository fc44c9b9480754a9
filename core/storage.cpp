#include "core/storage.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/error.h"

namespace stair {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLarge = size_t{64} << 10;  // bytes of a block from the arena at least
constexpr size_t kAddresses = 2;             // of the arena, times the memory of the machine

// Small blocks come in powers of two with four steps between, so that at most a fifth is unused.
size_t block_size(size_t bytes) {
  size_t step = 64;
  if (bytes >= kLarge) return bytes;
  while (step * 8 < bytes) step *= 2;
  return std::max<size_t>(kAlignment, (bytes + step - 1) / step * step);
}

// Small blocks are kept by size, large ones are cut from an arena.
class Cache {
 public:
  std::byte* take(size_t size) {
    std::lock_guard lock(mutex_);
    std::byte* block = size < kLarge ? take_small(size) : take_large(size);
    if (block == nullptr)
      throw MemoryError(
          str("out of memory: ", size, " bytes were asked for, ", live_, " are in use"),
          "use a smaller batch");
    live_ += size;
    peak_ = std::max(peak_, live_);
    return block;
  }

  void give(std::byte* block, size_t size) {
    std::lock_guard lock(mutex_);
    live_ -= size;
    cached_ += size;
    if (size < kLarge)
      free_[size].push_back(block);
    else
      arena_.give(block, size + kReadSlack);
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
    arena_.release();
    cached_ = 0;
  }

 private:
  std::byte* take_small(size_t size) {
    auto& free = free_[size];
    if (!free.empty()) {
      std::byte* block = free.back();
      free.pop_back();
      cached_ -= size;
      return block;
    }
    ++system_calls_;
    return static_cast<std::byte*>(std::aligned_alloc(kAlignment, size + kReadSlack));
  }

  std::byte* take_large(size_t size) {
    const size_t before = arena_.extent();
    std::byte* block = arena_.take(size + kReadSlack);
    if (arena_.extent() > before)
      ++system_calls_;
    else
      cached_ -= std::min(cached_, size);
    return block;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<std::byte*>> free_;
  Arena arena_{kAddresses * static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) *
               static_cast<size_t>(::sysconf(_SC_PAGESIZE))};
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
  const size_t size = block_size(bytes);
  return {cache().take(size), [size](std::byte* block) { cache().give(block, size); }};
}

namespace {

constexpr size_t kMostSmall = size_t{1} << 20;
constexpr int kSizeClasses = 15;  // 64 bytes to kMostSmall, powers of two

// Scratch blocks that a thread does not use now.
class FreeScratch {
 public:
  ~FreeScratch() {
    for (const auto& blocks : free_)
      for (std::byte* block : blocks) std::free(block);
  }
  std::byte* take(int size_class) {
    auto& blocks = free_[static_cast<size_t>(size_class)];
    if (!blocks.empty()) {
      std::byte* block = blocks.back();
      blocks.pop_back();
      return block;
    }
    const size_t bytes = (kAlignment << size_class) + kReadSlack;
    void* block = std::aligned_alloc(kAlignment, bytes);
    if (block == nullptr) throw MemoryError(str("out of memory: ", bytes, " bytes of scratch"));
    return static_cast<std::byte*>(block);
  }
  void give(std::byte* block, int size_class) {
    free_[static_cast<size_t>(size_class)].push_back(block);
  }

 private:
  std::array<std::vector<std::byte*>, kSizeClasses> free_;
};

thread_local FreeScratch free_scratch;

}  // namespace

Scratch::Scratch(size_t bytes) : block_(nullptr), size_class_(0) {
  if (bytes > kMostSmall) {
    large_ = allocate(bytes);
    block_ = large_.get();
    return;
  }
  while ((kAlignment << size_class_) < bytes) ++size_class_;
  block_ = free_scratch.take(size_class_);
}

Scratch::Scratch(Scratch&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      size_class_(other.size_class_),
      large_(std::move(other.large_)) {}

Scratch::~Scratch() {
  if (block_ != nullptr && large_ == nullptr) free_scratch.give(block_, size_class_);
}

}  // namespace stair
