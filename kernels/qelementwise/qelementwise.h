// Contract of the integer operations without weights (numerics.md, "Other quantized operations").
// Codes are u8, or s8 where the flag says so. Exact on every instruction set.
#pragma once

#include <cstdint>

#include "kernels/conv_int8/conv_int8.h"
#include "kernels/pool/pool.h"

namespace stair::kernels {

struct CodeInput {
  const void* q;
  bool is_signed = false;
  float scale = 1;
  int32_t zero_point = 0;
};

// y = sa * (qa - za) + sb * (qb - zb): two rounded products, one rounded sum; then requantized.
struct AddInt8 {
  struct Args {
    int64_t n;
    CodeInput a, b;
    Requant requant;
    void* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "add_int8";
};

// The same without requantizing: two rounded products, one rounded sum.
struct AddCodes {
  struct Args {
    int64_t n;
    CodeInput a, b;
    float* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "add_codes";
};

// y = float((qa - za) * (qb - zb)) * (sa * sb): exact integer product, one rounded product; then
// requantized.
struct MulInt8 {
  struct Args {
    int64_t n;
    CodeInput a, b;
    Requant requant;
    void* y;
    // b has one value for each image and channel, [n / (pixels * channels), channels]; 0: one for
    // each of the n.
    int64_t pixels = 0, channels = 0;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "mul_int8";
};

// y = float(sum of (q - z)) * (s / n), n the elements of the window (PoolShape); then requantized.
struct AvgPoolInt8 {
  struct Args {
    PoolShape s;
    CodeInput x;
    Requant requant;
    void* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "avg_pool_int8";
};

// y = (q - z) * s, requantized: the same values on another grid.
struct RequantizeInt8 {
  struct Args {
    int64_t n;
    CodeInput x;
    Requant requant;
    void* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "requantize_int8";
};

// y = table[x]: any function of one code.
struct LookUpInt8 {
  struct Args {
    int64_t n;
    const void* x;         // u8 or s8
    const uint8_t* table;  // [256], by the bits of x
    void* y;
  };
  using Impl = Function<Args>;
  static constexpr const char* kName = "look_up_int8";
};

}  // namespace stair::kernels
