// Contract of the integer convolutions (dense, grouped, depthwise, linear): u8 x s8 and s8 x s8 ->
// s32, exact.
//
//   acc[n,oy,ox,o] = bias_s32[o] + sum_{ky,kx,i} (x[...] - x_zero_point) * (w[o,ky,kx,i] -
//   w_zero_point[o])
//
// indices as in kernels/conv/conv.h; a padded input equals x_zero_point, so it contributes zero.
// Then, by `output`:
//   acc:  acc itself, s32
//   real: y = fmaf(float(acc), multiplier[o], bias[o]), or float(acc) * multiplier[o] without a
//   bias, f32 code: q = clamp(rne(y * requant.inv_scale) + requant.zero_point, requant.lo,
//   requant.hi), u8 or s8 code with residual: the codes q are first dequantized again and added to
//   another tensor's:
//         a = (q - requant.zero_point) * residual.scale_q          (one rounded product)
//         b = (residual.q - residual.zero_point) * residual.scale  (one rounded product)
//         result = clamp(rne((a + b) * sum.inv_scale) + sum.zero_point, sum.lo, sum.hi)
// float(acc) rounds to nearest even. Exact (==) on every instruction set and for any number of
// threads. The moments of real results have the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <functional>

#include "core/storage.h"
#include "kernels/conv/conv.h"
#include "kernels/moments/moments.h"

namespace stair::kernels {

// q = clamp(rne(y * inv_scale) + zero_point, lo, hi); inv_scale = 1.0f / scale. NaN gives
// zero_point. Infinities saturate.
struct Requant {
  float inv_scale = 1;
  int32_t zero_point = 0;
  int32_t lo = 0, hi = 255;  // a fused ReLU raises lo to the zero point; ReLU6 also lowers hi
  bool is_signed = false;    // s8 codes instead of u8
};

struct Residual {
  const void* q = nullptr;  // [N,OH,OW,O] codes of the other addend; null: no residual
  bool is_signed = false;
  float scale = 1;
  int32_t zero_point = 0;
  float scale_q = 1;  // the scale whose inverse is Requant::inv_scale
  Requant sum = {};   // codes of the sum
};

enum class ConvOutput { acc, real, code };

struct ConvInt8 {
  struct Args {
    ConvShape s;
    const void* x;  // [N,H,W,C] u8 or s8
    bool x_signed = false;
    int32_t x_zero_point = 0;
    // [O,KH,KW,I]; of 4 or 2 bits: a row of packed_bytes(KH * KW * I, w_bits) bytes for each o, as
    // pack_codes writes it.
    const int8_t* w;
    int w_bits = 8;                         // 8, 4 or 2
    const int32_t* w_zero_point = nullptr;  // [O], or null: symmetric
    const void* packed = nullptr;           // what `pack` wrote for w
    const int32_t* bias_s32 = nullptr;      // [O] or null
    ConvOutput output = ConvOutput::code;
    const float* multiplier = nullptr;  // [O], x_scale * w_scale[o] as one float product
    const float* bias = nullptr;        // [O] or null
    Requant requant = {};
    Residual residual = {};
    void* y;                      // [N,OH,OW,O] s32, f32, u8 or s8
    ChannelMoments moments = {};  // written beside a real output; at least one pixel
  };
  struct Impl {
    // A call that is ready to run, as often as wanted: reads all of `args` now but the targets of
    // x, packed and residual.q, and for the reference w.
    std::function<void()> (*bind)(const Args&);
    // Which arguments it can run; looks at everything but the pointers' targets. Null: everything.
    bool (*supports)(const Args&);
    // Bytes of, and the writing of, the panels of w, whose shape, w and w_bits are read; null: the
    // kernel reads w itself. Weights of 4 and 2 bits keep them in their panels; those of a
    // depthwise convolution, which are few, take 8.
    size_t (*packed_bytes)(const Args&);
    void (*pack)(const Args&, void* packed);
  };
  static constexpr const char* kName = "conv_int8";
};

// Weights ready for the kernel that was chosen for them.
class PackedConvInt8 {
 public:
  // Chooses the best kernel for `args` (pointers but `w` and `w_zero_point` may be null) and packs
  // args.w for it.
  explicit PackedConvInt8(const ConvInt8::Args& args);
  // A call of the chosen kernel, for as long as this lives (Impl::bind). args.w must be the weights
  // that were packed; args.s may differ in n, h and w only.
  std::function<void()> bind(ConvInt8::Args args) const;
  void run(const ConvInt8::Args& args) const { bind(args)(); }
  const char* kernel() const { return name_; }

 private:
  const ConvInt8::Impl* impl_ = nullptr;
  const char* name_ = nullptr;
  std::shared_ptr<std::byte> packed_;
};

// Packs and runs.
void conv_int8(const ConvInt8::Args& args);

}  // namespace stair::kernels
