// The intrinsics of AVX-512, without a false alarm: GCC 12 takes the deliberately undefined
// registers inside its own intrinsics for uninitialized variables.
#pragma once

#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
