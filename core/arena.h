// One stretch of addresses that large blocks are cut from.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace stair {

// Takes the smallest free stretch that a block fits in, and joins free neighbours, so that blocks
// of all sizes share the same memory. Pages cost nothing before they are touched. Not thread-safe.
class Arena {
 public:
  // Reserves addresses, fewer where the system refuses so many.
  explicit Arena(size_t bytes);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A block aligned to 64 bytes, for `give` with the same size; null when no free stretch is long
  // enough.
  std::byte* take(size_t size);
  void give(std::byte* block, size_t size);
  // Returns the pages of free stretches to the system.
  void release();
  // Bytes from the first block to the end of the furthest one so far.
  size_t extent() const { return extent_; }

 private:
  void add_free(std::byte* begin, size_t size);
  void drop_free(std::map<std::byte*, size_t>::iterator stretch);

  std::byte* begin_ = nullptr;
  size_t extent_ = 0;
  std::map<std::byte*, size_t> free_;                     // by address
  std::set<std::pair<size_t, std::byte*>> free_by_size_;  // the same
};

}  // namespace stair
