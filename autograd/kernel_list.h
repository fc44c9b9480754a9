// The kernels of the build, for programs that show them (programs do not see the registry itself).
#pragma once

#include <string>
#include <vector>

#include "core/cpu.h"

namespace stair::autograd {

struct KernelInfo {
  std::string op;
  std::string name;
  Isa isa;
  bool first;  // the one that `active_isa()` tries first
};

// Every kernel, by operation, best instruction set first.
std::vector<KernelInfo> kernel_list();

}  // namespace stair::autograd
