// Whether the tests run under AddressSanitizer or ThreadSanitizer, ten times as slowly: loops over
// many alike cases take some of them there.
#pragma once

namespace stair::support {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Shapes drawn for a family of kernels. ThreadSanitizer looks at the loops that they share.
#if defined(__SANITIZE_THREAD__)
inline constexpr int kRandomShapes = 20;
#else
inline constexpr int kRandomShapes = 500;
#endif

}  // namespace stair::support
