// Contract of the reductions. Tensors are seen as [outer, channels, inner]
// (kernels/quantize/quantize.h). The split depends on the shape alone.
#pragma once

#include <cstdint>

#include "kernels/quantize/quantize.h"
#include "kernels/registry.h"

namespace stair::kernels {

// Minimum and maximum of each channel; exact. Values that are not finite are left out and counted.
// A channel without a finite value gives +inf, -inf.
template <class T>
struct MinMax {
  struct Args {
    ChannelLayout layout;
    const T* x;
    T* min;               // [channels]
    T* max;               // [channels]
    int64_t* non_finite;  // one count for the tensor, written
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("min_max");
};

// sum[c] = sum of x over outer and inner; partial sums of the fixed split are combined in double.
// The error is relative to the sum of |x|.
template <class T>
struct SumChannels {
  struct Args {
    ChannelLayout layout;
    const T* x;
    T* sum;  // [channels]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("sum_channels");
};

// sum[c] = sum of a * b over outer and inner.
template <class T>
struct DotChannels {
  struct Args {
    ChannelLayout layout;
    const T* a;
    const T* b;
    T* sum;  // [channels]
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = STAIR_KERNEL_NAME("dot_channels");
};

}  // namespace stair::kernels
