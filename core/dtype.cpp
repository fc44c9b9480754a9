#include "core/dtype.h"

namespace stair {

const char* name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::u8:
      return "u8";
    case DType::s8:
      return "s8";
    case DType::s32:
      return "s32";
    case DType::s64:
      return "s64";
    case DType::b1:
      return "b1";
  }
  return "?";
}

size_t bytes_of(DType dtype, int64_t count) {
  const size_t n = static_cast<size_t>(count);
  switch (dtype) {
    case DType::f32:
    case DType::s32:
      return 4 * n;
    case DType::f64:
    case DType::s64:
      return 8 * n;
    case DType::u8:
    case DType::s8:
      return n;
    case DType::b1:
      return (n + 7) / 8;
  }
  return 0;
}

}  // namespace stair
