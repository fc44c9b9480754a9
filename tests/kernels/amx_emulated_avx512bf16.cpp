// The AMX kernels' own source on emulated tiles, for machines without AMX. Their packing needs
// AVX-512 BF16, hence the suffix.
#define STAIR_AMX_TILES "tests/kernels/amx_emulation.inc"
#define register_conv_bf16_amx register_conv_bf16_amx_emulated
#include "kernels/conv_bf16/conv_bf16_amx.cpp"

namespace stair::kernels {

int amx_bf16_emulation_faults() {
  return faults + in_use;
}

}  // namespace stair::kernels
