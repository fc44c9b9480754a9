#include "core/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace stair {
namespace {

static_assert(std::endian::native == std::endian::little,
              "words are read as the machine stores them");

using Bytes = const std::byte*;

constexpr uint64_t kPrime32[] = {0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D};
constexpr uint64_t kPrime64[] = {0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                                 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5};
constexpr size_t kLongestShort = 240;  // inputs up to here are hashed without accumulators

// The default secret of the algorithm.
constexpr unsigned char kSecretBytes[192] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};
const Bytes kSecret = reinterpret_cast<Bytes>(kSecretBytes);
const Bytes kScrambleSecret = kSecret + sizeof(kSecretBytes) - 64;

uint64_t read64(Bytes p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint64_t read32(Bytes p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// Upper half of the 128-bit product xor its lower half.
uint64_t multiply_fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t avalanche(uint64_t h) {
  h = (h ^ (h >> 37)) * 0x165667919E3779F9;
  return h ^ (h >> 32);
}

// The final mixing of XXH64, used for inputs of up to three bytes.
uint64_t avalanche64(uint64_t h) {
  h = (h ^ (h >> 33)) * kPrime64[1];
  h = (h ^ (h >> 29)) * kPrime64[2];
  return h ^ (h >> 32);
}

uint64_t mix16(Bytes p, Bytes secret) {
  return multiply_fold(read64(p) ^ read64(secret), read64(p + 8) ^ read64(secret + 8));
}

uint64_t hash_up_to_16(Bytes p, size_t n) {
  if (n > 8) {
    const uint64_t low = read64(p) ^ read64(kSecret + 24) ^ read64(kSecret + 32);
    const uint64_t high = read64(p + n - 8) ^ read64(kSecret + 40) ^ read64(kSecret + 48);
    return avalanche(n + __builtin_bswap64(low) + high + multiply_fold(low, high));
  }
  if (n >= 4) {
    constexpr uint64_t kMix = 0x9FB21C651E98DF25;
    const uint64_t keyed =
        (read32(p + n - 4) + (read32(p) << 32)) ^ read64(kSecret + 8) ^ read64(kSecret + 16);
    uint64_t h = (keyed ^ std::rotl(keyed, 49) ^ std::rotl(keyed, 24)) * kMix;
    h = (h ^ ((h >> 35) + n)) * kMix;
    return h ^ (h >> 28);
  }
  if (n == 0) return avalanche64(read64(kSecret + 56) ^ read64(kSecret + 64));
  const auto at = [&](size_t i) { return std::to_integer<uint64_t>(p[i]); };
  const uint64_t combined = at(0) << 16 | at(n / 2) << 24 | at(n - 1) | n << 8;
  return avalanche64(combined ^ read32(kSecret) ^ read32(kSecret + 4));
}

uint64_t hash_short(Bytes p, size_t n) {
  if (n <= 16) return hash_up_to_16(p, n);
  uint64_t acc = n * kPrime64[0];
  if (n <= 128) {
    for (size_t i = (n - 1) / 32 + 1; i-- > 0;)
      acc +=
          mix16(p + 16 * i, kSecret + 32 * i) + mix16(p + n - 16 * (i + 1), kSecret + 32 * i + 16);
    return avalanche(acc);
  }
  for (size_t i = 0; i < 8; ++i) acc += mix16(p + 16 * i, kSecret + 16 * i);
  acc = avalanche(acc);
  for (size_t i = 8; i < n / 16; ++i) acc += mix16(p + 16 * i, kSecret + 16 * (i - 8) + 3);
  return avalanche(acc + mix16(p + n - 16, kSecret + 136 - 17));
}

using Accumulators = std::array<uint64_t, 8>;

void accumulate(Accumulators& acc, Bytes p, Bytes secret) {
  for (size_t i = 0; i < 8; ++i) {
    const uint64_t value = read64(p + 8 * i);
    const uint64_t key = value ^ read64(secret + 8 * i);
    acc[i ^ 1] += value;
    acc[i] += (key & 0xFFFFFFFF) * (key >> 32);
  }
}

void accumulate_block(Accumulators& acc, Bytes p) {
  for (size_t stripe = 0; stripe < 16; ++stripe)
    accumulate(acc, p + 64 * stripe, kSecret + 8 * stripe);
  for (size_t i = 0; i < 8; ++i)
    acc[i] = (acc[i] ^ (acc[i] >> 47) ^ read64(kScrambleSecret + 8 * i)) * kPrime32[0];
}

}  // namespace

Hasher::Hasher()
    : acc_{kPrime32[2], kPrime64[0], kPrime64[1], kPrime64[2],
           kPrime64[3], kPrime32[1], kPrime64[4], kPrime32[0]} {}

Hasher& Hasher::update(std::span<const std::byte> bytes) {
  std::byte* const block = buffer_.data() + kStripe;
  total_ += bytes.size();
  while (!bytes.empty()) {
    if (pending_ == kBlock) {
      accumulate_block(acc_, block);
      std::memcpy(buffer_.data(), block + kBlock - kStripe, kStripe);
      pending_ = 0;
    }
    if (pending_ == 0 && bytes.size() > kBlock) {
      const size_t whole = (bytes.size() - 1) / kBlock * kBlock;
      Accumulators acc = acc_;
      for (size_t i = 0; i < whole; i += kBlock) accumulate_block(acc, bytes.data() + i);
      acc_ = acc;
      std::memcpy(buffer_.data(), bytes.data() + whole - kStripe, kStripe);
      bytes = bytes.subspan(whole);
    }
    const size_t part = std::min(bytes.size(), kBlock - pending_);
    std::memcpy(block + pending_, bytes.data(), part);
    pending_ += part;
    bytes = bytes.subspan(part);
  }
  return *this;
}

uint64_t Hasher::digest() const {
  const Bytes block = buffer_.data() + kStripe;
  if (total_ <= kLongestShort) return hash_short(block, pending_);
  Accumulators acc = acc_;
  for (size_t stripe = 0; stripe < (pending_ - 1) / kStripe; ++stripe)
    accumulate(acc, block + kStripe * stripe, kSecret + 8 * stripe);
  accumulate(acc, block + pending_ - kStripe, kScrambleSecret - 7);
  uint64_t h = total_ * kPrime64[0];
  for (size_t i = 0; i < 8; i += 2)
    h += multiply_fold(acc[i] ^ read64(kSecret + 11 + 8 * i),
                       acc[i + 1] ^ read64(kSecret + 19 + 8 * i));
  return avalanche(h);
}

uint64_t hash64(std::span<const std::byte> bytes) {
  return Hasher().update(bytes).digest();
}

std::string hex(uint64_t hash) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; hash >>= 4) text[i] = "0123456789abcdef"[hash & 15];
  return text;
}

}  // namespace stair
