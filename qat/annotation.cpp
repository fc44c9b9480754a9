#include "qat/annotation.h"

#include <limits>

namespace stair::qat {

DerivedQuantizationSpec bias_spec(const EdgeOrNode& input, const EdgeOrNode& weight) {
  const auto product = [](std::span<const QParams> from) {
    return QParams{{from[0].scale[0] * from[1].scale[0]}, {0}, -1, 0, 0};
  };
  return {{input, weight},
          product,
          true,
          std::numeric_limits<int32_t>::min(),
          std::numeric_limits<int32_t>::max()};
}

}  // namespace stair::qat
