#include "core/parallel.h"
#include "kernels/conv_int8/scalar_epilogue.h"
#include "kernels/qelementwise/qelementwise.h"

namespace stair::kernels {
namespace {

constexpr int64_t kGrain = 16384;

float value(const CodeInput& x, int64_t i) {
  return dequantize(read_code(x.q, x.is_signed, i), x.zero_point, x.scale);
}

void add(const AddInt8::Args& a) {
  parallel_for(a.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      write_code(a.y, i, requantize(value(a.a, i) + value(a.b, i), a.requant));
  });
}

void add_codes(const AddCodes::Args& a) {
  parallel_for(a.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) a.y[i] = value(a.a, i) + value(a.b, i);
  });
}

void mul(const MulInt8::Args& a) {
  const float scale = a.a.scale * a.b.scale;
  parallel_for(a.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t j =
          a.pixels > 0 ? i / (a.pixels * a.channels) * a.channels + i % a.channels : i;
      const int32_t product = (read_code(a.a.q, a.a.is_signed, i) - a.a.zero_point) *
                              (read_code(a.b.q, a.b.is_signed, j) - a.b.zero_point);
      write_code(a.y, i, requantize(static_cast<float>(product) * scale, a.requant));
    }
  });
}

void requantize_codes(const RequantizeInt8::Args& a) {
  parallel_for(a.n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) write_code(a.y, i, requantize(value(a.x, i), a.requant));
  });
}

void avg_pool(const AvgPoolInt8::Args& a) {
  const PoolShape& s = a.s;
  parallel_tasks(s.n * s.oh() * s.ow(), [&](int64_t pixel) {
    const int64_t n = pixel / (s.oh() * s.ow());
    const int64_t y0 = pixel / s.ow() % s.oh() * s.stride_h - s.pad_top;
    const int64_t x0 = pixel % s.ow() * s.stride_w - s.pad_left;
    for (int64_t c = 0; c < s.c; ++c) {
      int32_t sum = 0;
      int64_t inside = 0;
      for (int64_t iy = y0; iy < y0 + s.kh; ++iy)
        for (int64_t ix = x0; ix < x0 + s.kw; ++ix) {
          if (iy < 0 || iy >= s.h || ix < 0 || ix >= s.w) continue;
          sum += read_code(a.x.q, a.x.is_signed, ((n * s.h + iy) * s.w + ix) * s.c + c) -
                 a.x.zero_point;
          ++inside;
        }
      const int64_t count = s.count_include_pad ? s.kh * s.kw : inside;
      const float y = static_cast<float>(sum) * (a.x.scale / static_cast<float>(count));
      write_code(a.y, pixel * s.c + c, requantize(y, a.requant));
    }
  });
}

void look_up(const LookUpInt8::Args& a) {
  parallel_for(a.n, kGrain, [&](int64_t begin, int64_t end) {
    const auto* x = static_cast<const uint8_t*>(a.x);
    for (int64_t i = begin; i < end; ++i) static_cast<uint8_t*>(a.y)[i] = a.table[x[i]];
  });
}

constexpr AddInt8::Impl kAdd{add};
constexpr AddCodes::Impl kAddCodes{add_codes};
constexpr MulInt8::Impl kMul{mul};
constexpr AvgPoolInt8::Impl kAvgPool{avg_pool};
constexpr RequantizeInt8::Impl kRequantize{requantize_codes};
constexpr LookUpInt8::Impl kLookUp{look_up};

}  // namespace

void register_qelementwise_ref(Registry& r) {
  r.add(AddInt8::kName, "add_int8_ref", Isa::ref, &kAdd);
  r.add(AddCodes::kName, "add_codes_ref", Isa::ref, &kAddCodes);
  r.add(MulInt8::kName, "mul_int8_ref", Isa::ref, &kMul);
  r.add(AvgPoolInt8::kName, "avg_pool_int8_ref", Isa::ref, &kAvgPool);
  r.add(RequantizeInt8::kName, "requantize_int8_ref", Isa::ref, &kRequantize);
  r.add(LookUpInt8::kName, "look_up_int8_ref", Isa::ref, &kLookUp);
}

}  // namespace stair::kernels
