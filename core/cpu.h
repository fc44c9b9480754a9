// Instruction sets and the choice among them.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace stair {

// Each includes those before it. ref: plain C++; avx2: AVX2 + FMA; avx512: F, BW, DQ, VL, CD; vnni:
// AVX-512 VNNI; amx: AMX tile, int8, bf16.
enum class Isa { ref, avx2, avx512, vnni, amx };

const char* name(Isa isa);
inline std::ostream& operator<<(std::ostream& out, Isa isa) {
  return out << name(isa);
}

// The best the machine has. AMX is asked from the kernel here, once.
Isa detected_isa();
// All that the machine has, worst first.
std::vector<Isa> available_isas();

// Whether the processor has AVX-512 BF16 and runs its dot product faster than f32 multiply-adds:
// AMD's at twice their rate, Intel's at half of it.
bool fast_bf16_dot();

// The best that may be used: `detected_isa()`, or what STAIR_ISA (ref, avx2, avx512, vnni, amx) or
// `set_active_isa` say. Throws ConfigError when STAIR_ISA is no such name, DeviceError when the
// machine lacks it.
Isa active_isa();
void set_active_isa(Isa isa);

// Sets the active instruction set for a scope.
class IsaScope {
 public:
  explicit IsaScope(Isa isa) : before_(active_isa()) { set_active_isa(isa); }
  ~IsaScope() { set_active_isa(before_); }
  IsaScope(const IsaScope&) = delete;
  IsaScope& operator=(const IsaScope&) = delete;

 private:
  Isa before_;
};

}  // namespace stair
