// Memory of tensors: blocks aligned to 64 bytes from a caching allocator.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

namespace stair {

// Bytes past the end of every block that may be read (never written) by vector code.
inline constexpr size_t kReadSlack = 64;

// What a block of memory is for. Activations are told apart by their element type: codes (u8, s8),
// masks (bits and places of maxima), reals (f32). `backward` is what backward functions make on
// their way.
enum class MemoryKind {
  other,
  parameters,
  gradients,
  optimizer,
  reals,
  codes,
  masks,
  backward,
  scratch,
  loader
};
inline constexpr size_t kMemoryKinds = 10;
const char* name(MemoryKind kind);
using BytesByKind = std::array<size_t, kMemoryKinds>;

struct MemoryStats {
  size_t live_bytes;         // in use by tensors now
  size_t peak_bytes;         // the most in use since the last reset
  BytesByKind peak_by_kind;  // what that was for
  size_t cached_bytes;       // kept for reuse
  size_t system_calls;       // blocks asked from the system so far
};

MemoryStats memory_stats();
// Starts a new peak at what is in use now.
void reset_peak_memory();
// Returns every cached block to the system.
void release_cached_memory();

// A block of memory; goes back to the cache when the last owner is gone. `kind` counts where no
// MemoryScope lives. Throws MemoryError when the system has none left.
std::shared_ptr<std::byte> allocate(size_t bytes, MemoryKind kind = MemoryKind::other);

// What this thread allocates while one lives is of one kind; the innermost scope decides.
class MemoryScope {
 public:
  explicit MemoryScope(MemoryKind kind);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  const MemoryKind* before_;
  MemoryKind kind_;
};

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
