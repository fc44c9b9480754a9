// Small trained networks to export.
#pragma once

#include <string>

#include "qat/int8/graph.h"

namespace stair::apps {

Tensor drawn_pictures(int64_t n, int64_t size, uint64_t seed);

// The network `model` of ten classes after a few steps of QAT, as a run would deploy it.
qat::Int8Graph small_network(const std::string& model, double width, int64_t size, int bits = 8);

}  // namespace stair::apps
