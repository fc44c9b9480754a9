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
constexpr size_t kAddresses = 2;             // of an arena, times the memory of the machine

// Small blocks come in powers of two with four steps between, so that at most a fifth is unused.
size_t block_size(size_t bytes) {
  size_t step = 64;
  if (bytes >= kLarge) return bytes;
  while (step * 8 < bytes) step *= 2;
  return std::max<size_t>(kAlignment, (bytes + step - 1) / step * step);
}

// What lives from the forward to the backward or longer, what comes and goes, and what several
// threads take in any order: apart, so that the first does not break up the room of the second, and
// the third leaves both where they are in every step.
constexpr size_t kArenas = 3;
size_t arena_of(MemoryKind kind) {
  if (kind == MemoryKind::reals || kind == MemoryKind::backward) return 1;
  return kind == MemoryKind::scratch || kind == MemoryKind::loader ? 2 : 0;
}

// Small blocks are kept by size, large ones are cut from arenas.
class Cache {
 public:
  std::byte* take(size_t size, MemoryKind kind) {
    std::lock_guard lock(mutex_);
    std::byte* block = size < kLarge ? take_small(size) : take_large(size, arenas_[arena_of(kind)]);
    if (block == nullptr)
      throw MemoryError(
          str("out of memory: ", size, " bytes were asked for, ", live_, " are in use"),
          "use a smaller batch");
    live_ += size;
    by_kind_[static_cast<size_t>(kind)] += size;
    if (live_ > peak_) set_peak();
    return block;
  }

  void give(std::byte* block, size_t size, MemoryKind kind, size_t arena) {
    std::lock_guard lock(mutex_);
    live_ -= size;
    by_kind_[static_cast<size_t>(kind)] -= size;
    cached_ += size;
    if (size < kLarge)
      free_[size].push_back(block);
    else
      arenas_[arena].give(block, size + kReadSlack);
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return {live_, peak_, peak_by_kind_, cached_, system_calls_};
  }

  void reset_peak() {
    std::lock_guard lock(mutex_);
    set_peak();
  }

  void release() {
    std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : free_)
      for (std::byte* block : blocks) std::free(block);
    free_.clear();
    for (Arena& arena : arenas_) arena.release();
    cached_ = 0;
  }

 private:
  void set_peak() {
    peak_ = live_;
    peak_by_kind_ = by_kind_;
  }

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

  std::byte* take_large(size_t size, Arena& arena) {
    const size_t before = arena.extent();
    std::byte* block = arena.take(size + kReadSlack);
    if (arena.extent() > before)
      ++system_calls_;
    else
      cached_ -= std::min(cached_, size);
    return block;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<std::byte*>> free_;
  static size_t addresses() {
    return kAddresses * static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) *
           static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  }
  std::array<Arena, kArenas> arenas_{Arena(addresses()), Arena(addresses()), Arena(addresses())};
  size_t live_ = 0, peak_ = 0, cached_ = 0, system_calls_ = 0;
  BytesByKind by_kind_ = {}, peak_by_kind_ = {};
};

// Never destroyed: tensors with static lifetime may return blocks at exit.
Cache& cache() {
  static Cache* instance = new Cache;
  return *instance;
}

// How a block goes back, and what it counts as.
struct GiveBack {
  size_t size;
  MemoryKind kind;
  size_t arena;
  void operator()(std::byte* block) const { cache().give(block, size, kind, arena); }
};

thread_local const MemoryKind* scope_kind = nullptr;

std::shared_ptr<std::byte> allocate_as(size_t bytes, MemoryKind kind) {
  const size_t size = block_size(bytes);
  return {cache().take(size, kind), GiveBack{size, kind, arena_of(kind)}};
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

std::shared_ptr<std::byte> allocate(size_t bytes, MemoryKind kind) {
  return allocate_as(bytes, scope_kind != nullptr ? *scope_kind : kind);
}

MemoryScope::MemoryScope(MemoryKind kind) : before_(scope_kind), kind_(kind) {
  scope_kind = &kind_;
}
MemoryScope::~MemoryScope() {
  scope_kind = before_;
}

const char* name(MemoryKind kind) {
  constexpr const char* kNames[kMemoryKinds] = {
      "other",           "parameters",           "gradients of parameters",
      "optimizer state", "activations, f32",     "activations, codes",
      "masks",           "backward, on the way", "scratch",
      "loader"};
  return kNames[static_cast<size_t>(kind)];
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
    large_ = allocate_as(bytes, MemoryKind::scratch);
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
