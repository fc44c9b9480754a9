// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>

namespace stair {

// b1 is a bit mask, eight elements a byte, least significant bit first.
enum class DType : uint8_t { f32, f64, u8, s8, s32, s64, b1 };

const char* name(DType dtype);
inline std::ostream& operator<<(std::ostream& out, DType dtype) { return out << name(dtype); }

// Bytes that `count` elements take.
size_t bytes_of(DType dtype, int64_t count);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> { static constexpr DType value = DType::f32; };
template <>
struct DTypeOf<double> { static constexpr DType value = DType::f64; };
template <>
struct DTypeOf<uint8_t> { static constexpr DType value = DType::u8; };
template <>
struct DTypeOf<int8_t> { static constexpr DType value = DType::s8; };
template <>
struct DTypeOf<int32_t> { static constexpr DType value = DType::s32; };
template <>
struct DTypeOf<int64_t> { static constexpr DType value = DType::s64; };
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace stair
