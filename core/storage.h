// Memory of tensors: blocks aligned to 64 bytes from a caching allocator.
#pragma once

#include <cstddef>
#include <memory>

namespace stair {

// Bytes past the end of every block that may be read (never written) by vector code.
inline constexpr size_t kReadSlack = 64;

struct MemoryStats {
  size_t live_bytes;    // in use by tensors now
  size_t peak_bytes;    // the most in use since the last reset
  size_t cached_bytes;  // kept for reuse
  size_t system_calls;  // blocks asked from the system so far
};

MemoryStats memory_stats();
// Starts a new peak at what is in use now.
void reset_peak_memory();
// Returns every cached block to the system.
void release_cached_memory();

// A block of memory; goes back to the cache when the last owner is gone.
// Throws MemoryError when the system has none left.
std::shared_ptr<std::byte> allocate(size_t bytes);

// A block for the duration of one function. Small ones (to 1 MiB) are kept by the thread that gave
// them back, so that a loop that runs again asks nobody for memory; MemoryStats leaves them out.
// Throws as allocate does.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(Scratch&& other) noexcept;
  Scratch& operator=(Scratch&&) = delete;
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(block_);
  }

 private:
  std::byte* block_;
  int size_class_;                    // of a small block
  std::shared_ptr<std::byte> large_;  // or the owner of a large one
};

}  // namespace stair
