#include "autograd/kernel_list.h"

#include "kernels/registry.h"

namespace stair::autograd {

std::vector<KernelInfo> kernel_list() {
  std::vector<KernelInfo> list;
  std::string chosen;
  for (const kernels::Entry& entry : kernels::registry().all()) {
    const bool first = chosen != entry.op && entry.isa <= active_isa();
    if (first) chosen = entry.op;
    list.push_back({entry.op, entry.name, entry.isa, first});
  }
  return list;
}

}  // namespace stair::autograd
