#include "core/arena.h"

#include <sys/mman.h>

#include <algorithm>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace stair {
namespace {

// Between blocks, so that AddressSanitizer sees what runs over the end of one.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kGap = 64;
#else
constexpr size_t kGap = 0;
#endif

void forbid([[maybe_unused]] std::byte* begin, [[maybe_unused]] size_t size) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_POISON_MEMORY_REGION(begin, size);
#endif
}

void allow([[maybe_unused]] std::byte* begin, [[maybe_unused]] size_t size) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(begin, size);
#endif
}

size_t stretch_of(size_t size) {
  return (size + kGap + 63) / 64 * 64;
}

}  // namespace

Arena::Arena(size_t bytes) {
  for (; bytes >= size_t{1} << 20; bytes /= 2) {
    void* begin = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) continue;
    // The first touch of small pages costs as much as the arithmetic of a whole step, and every
    // later one a look into the page table.
    ::madvise(begin, bytes, MADV_HUGEPAGE);
    begin_ = static_cast<std::byte*>(begin);
    add_free(begin_, bytes);
    return;
  }
}

std::byte* Arena::take(size_t size) {
  const size_t needed = stretch_of(size);
  const auto best = free_by_size_.lower_bound({needed, nullptr});
  if (needed < size || best == free_by_size_.end()) return nullptr;
  const auto [length, block] = *best;
  drop_free(free_.find(block));
  if (length > needed) add_free(block + needed, length - needed);
  extent_ = std::max(extent_, static_cast<size_t>(block - begin_) + needed);
  allow(block, size);
  forbid(block + size, needed - size);
  return block;
}

void Arena::give(std::byte* block, size_t size) {
  size_t length = stretch_of(size);
  forbid(block, length);
  const auto after = free_.lower_bound(block);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == block) {
      block = before->first;
      length += before->second;
      drop_free(before);
    }
  }
  if (after != free_.end() && block + length == after->first) {
    length += after->second;
    drop_free(after);
  }
  add_free(block, length);
}

void Arena::release() {
  for (const auto& [begin, size] : free_)
    ::madvise(begin,
              std::min(size, extent_ - std::min(extent_, static_cast<size_t>(begin - begin_))),
              MADV_DONTNEED);
}

void Arena::add_free(std::byte* begin, size_t size) {
  free_.emplace(begin, size);
  free_by_size_.emplace(size, begin);
}

void Arena::drop_free(std::map<std::byte*, size_t>::iterator stretch) {
  free_by_size_.erase({stretch->second, stretch->first});
  free_.erase(stretch);
}

}  // namespace stair
