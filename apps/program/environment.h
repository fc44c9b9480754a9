// What a run depends on besides its settings: written as env.json, shown by qat_env.
#pragma once

#include "core/json.h"

namespace stair::apps {

// Members: stair, compiler, build, system, cpu, cpu_features, isa (active, detected), threads,
// memory_bytes, kernels (operation -> the kernel tried first).
Json environment();

}  // namespace stair::apps
