#include "core/cpu.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "core/error.h"

namespace stair {
namespace {

constexpr Isa kAll[] = {Isa::ref, Isa::avx2, Isa::avx512, Isa::vnni, Isa::amx};

// Linux hands out the 8 KiB of tile state only on request, for the whole process.
bool request_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool has = ((d >> 22) & 1) && ((d >> 24) & 1) && ((d >> 25) & 1);  // bf16, tile, int8
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return has && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

Isa detect() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi2"))
    return Isa::ref;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512cd"))
    return Isa::avx2;
  if (!__builtin_cpu_supports("avx512vnni")) return Isa::avx512;
  return request_amx() ? Isa::amx : Isa::vnni;
}

void check_available(Isa isa) {
  if (isa > detected_isa())
    throw DeviceError(str("instruction set '", isa, "' was asked for, this machine has at most '",
                          detected_isa(), "'"),
                      "unset STAIR_ISA to use the best there is");
}

Isa from_environment() {
  const char* value = std::getenv("STAIR_ISA");
  if (value == nullptr || *value == 0) return detected_isa();
  for (Isa isa : kAll)
    if (std::string(name(isa)) == value) {
      check_available(isa);
      return isa;
    }
  throw ConfigError(str("STAIR_ISA='", value, "' is no instruction set"),
                    "use ref, avx2, avx512, vnni or amx");
}

std::atomic<int>& active() {
  static std::atomic<int> isa{static_cast<int>(from_environment())};
  return isa;
}

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::ref:
      return "ref";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::vnni:
      return "vnni";
    case Isa::amx:
      return "amx";
  }
  return "?";
}

Isa detected_isa() {
  static const Isa isa = detect();
  return isa;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> found;
  for (Isa isa : kAll)
    if (isa <= detected_isa()) found.push_back(isa);
  return found;
}

bool fast_bf16_dot() {
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_is("amd");
}

Isa active_isa() {
  return static_cast<Isa>(active().load(std::memory_order_relaxed));
}

void set_active_isa(Isa isa) {
  check_available(isa);
  active().store(static_cast<int>(isa), std::memory_order_relaxed);
}

}  // namespace stair
