// What a run depends on besides its settings: written as env.json, shown by qat_env.
#pragma once

#include <string>

#include "core/json.h"

namespace stair::apps {

// Members: stair, compiler, build, system, cpu, cpu_features, isa (active, detected), threads,
// memory_bytes, kernels (operation -> the kernel tried first).
Json environment();

// How the shell starts another program of this build: "build/release/qat_eval" from the source
// tree.
std::string program_beside_this(const std::string& name);

}  // namespace stair::apps
