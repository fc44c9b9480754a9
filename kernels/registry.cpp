#include "kernels/registry.h"

#include <algorithm>

namespace stair::kernels {

#define STAIR_KERNEL_FILE(stem) void register_##stem(Registry&);
#include "kernel_files.inc"
#undef STAIR_KERNEL_FILE

void Registry::add(const char* op, const char* name, Isa isa, const void* impl) {
  entries_.push_back({op, name, isa, impl});
}

void Registry::sort() {
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    const int order = std::string_view(a.op).compare(b.op);
    return order != 0 ? order < 0 : a.isa > b.isa;
  });
}

std::span<const Entry> Registry::candidates(const std::string& op) const {
  const auto first =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return op == e.op; });
  const auto last = std::find_if(first, entries_.end(), [&](const Entry& e) { return op != e.op; });
  return {first, last};
}

const Registry& registry() {
  static const Registry instance = [] {
    Registry r;
#define STAIR_KERNEL_FILE(stem) register_##stem(r);
#include "kernel_files.inc"
#undef STAIR_KERNEL_FILE
    r.sort();
    return r;
  }();
  return instance;
}

}  // namespace stair::kernels
