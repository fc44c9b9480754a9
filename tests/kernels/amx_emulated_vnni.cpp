// The AMX kernel's own source on emulated tiles, for machines without AMX. Its epilogue needs
// AVX-512 VNNI, hence the suffix.
#define STAIR_AMX_TILES "tests/kernels/amx_emulation.inc"
#define register_conv_int8_amx register_conv_int8_amx_emulated
#include "kernels/conv_int8/conv_int8_amx.cpp"

namespace stair::kernels {

int amx_emulation_faults() {
  return faults + in_use;
}

}  // namespace stair::kernels
