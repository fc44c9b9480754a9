// Times the integer convolutions of ResNet-18 and MobileNetV2 at 224 pixels, each distinct layer
// alone, u8 codes to u8 codes (deployment) and to f32 (the forward of training).
//   bench_conv_int8 [--net resnet18|mobilenet_v2] [--layer TEXT] [--batch 32] [--threads N]
//   [--isa NAME] [--w-bits 8|4|2] [--seconds 0.3] [--json]
// Prints the median milliseconds and GOP/s of both, their share of the machine's measured vpdpbusd
// peak, the packing of the weights, and sums over each network (every layer as often as the network
// has it).
#include <immintrin.h>

#include <cstdio>

#include "bench/conv_layers.h"
#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/storage.h"
#include "kernels/conv_int8/conv_int8.h"

namespace {

using namespace stair;
using namespace stair::kernels;
using bench::Options;

// vpdpbusd from registers, 16 independent sums; 128 operations each.
constexpr int64_t kPeakLoops = 200000, kPeakOperations = kPeakLoops * 16 * 128;

__attribute__((target("avx512f,avx512vnni"), noinline)) int peak_loop(int seed) {
  __m512i sums[16];
  for (int i = 0; i < 16; ++i) sums[i] = _mm512_set1_epi32(i);
  __m512i x = _mm512_set1_epi32(seed);
  for (int64_t loop = 0; loop < kPeakLoops; ++loop) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], x, x);
    asm volatile("" : "+v"(x));
  }
  __m512i total = sums[0];
  for (int i = 1; i < 16; ++i) total = _mm512_xor_si512(total, sums[i]);
  return _mm512_cvtsi512_si32(total);
}

// GOP/s of all threads; 0 where the machine has no vpdpbusd.
double vnni_peak() {
  if (detected_isa() < Isa::vnni) return 0;
  const int threads = num_threads();
  std::vector<int> sink(static_cast<size_t>(threads) * 16);
  const double ms = bench::median_ms(0.1, [&] {
    parallel_tasks(threads, [&](int64_t t) {
      sink[static_cast<size_t>(t) * 16] = peak_loop(static_cast<int>(t) + 1);
    });
  });
  return static_cast<double>(kPeakOperations * threads) * 1e-6 / ms;
}

Scratch random_bytes(int64_t count, uint64_t seed) {
  Scratch out(static_cast<size_t>(count));
  Random random(seed);
  for (int64_t i = 0; i < count; ++i) out.as<uint8_t>()[i] = static_cast<uint8_t>(random.bits());
  return out;
}

struct Times {
  double code, real, pack;
  std::string kernel;
};

Times time_layer(const ConvShape& s, const Options& o) {
  const Scratch x = random_bytes(s.n * s.h * s.w * s.c, 1), w = random_bytes(s.o * s.k(), 2);
  const Scratch y(static_cast<size_t>(s.rows() * s.o) * 4);
  const std::vector<float> multiplier(static_cast<size_t>(s.o), 1e-4F),
      bias(static_cast<size_t>(s.o), 0.5F);
  ConvInt8::Args a{};
  a.s = s;
  a.x = x.as<uint8_t>();
  a.x_zero_point = s.c == 3 ? 114 : 0;  // pictures; what follows a ReLU
  a.w = w.as<int8_t>();  // random bytes, which hold random codes of few bits, too
  a.w_bits = o.w_bits;
  a.multiplier = multiplier.data();
  a.bias = bias.data();
  a.requant = {.inv_scale = 20, .zero_point = 3, .lo = 3, .hi = 255, .is_signed = false};
  a.y = y.as<uint8_t>();
  const PackedConvInt8 packed(a);
  Times t{};
  t.kernel = packed.kernel();
  t.code = bench::median_ms(o.seconds, [&] { packed.run(a); });
  a.output = ConvOutput::real;
  t.real = bench::median_ms(o.seconds, [&] { packed.run(a); });
  t.pack = bench::median_ms(0, [&] { PackedConvInt8{a}; });
  return t;
}

void print_json(const bench::Net& net, const bench::Layer& l, const Times& t, bool first) {
  std::printf(
      "%s\n    {\"net\": \"%s\", \"layer\": \"%s\", \"count\": %d, \"kernel\": \"%s\", \"gop\": "
      "%.6f, "
      "\"code_ms\": %.4f, \"real_ms\": %.4f, \"pack_ms\": %.4f}",
      first ? "" : ",", net.name, bench::layer_name(l.s).c_str(), l.count, t.kernel.c_str(),
      2e-9 * static_cast<double>(l.s.rows() * l.s.o * l.s.k()), t.code, t.real, t.pack);
}

void bench_net(bench::Net net, const Options& o, double peak, bool& first_row) {
  double code = 0, real = 0, pack = 0, gops = 0;
  const auto row = [&](const std::string& label, int count, double gop, const Times& t) {
    const double c = gop / t.code * 1e3, r = gop / t.real * 1e3, share = peak > 0 ? 100 / peak : 0;
    std::printf("%-22s x%d  %8.3f ms %7.1f %3.0f %% | %8.3f ms %7.1f %3.0f %% | %7.3f ms  %s\n",
                label.c_str(), count, t.code, c, c * share, t.real, r, r * share, t.pack,
                t.kernel.c_str());
  };
  for (bench::Layer& l : net.layers) {
    l.s.n = o.batch;
    const std::string name = bench::layer_name(l.s);
    if (name.find(o.layer) == std::string::npos) continue;
    const Times t = time_layer(l.s, o);
    const double gop = 2e-9 * static_cast<double>(l.s.rows() * l.s.o * l.s.k());
    code += t.code * l.count;
    real += t.real * l.count;
    pack += t.pack * l.count;
    gops += gop * l.count;
    if (o.json)
      print_json(net, l, t, first_row);
    else
      row(name, l.count, gop, t);
    first_row = false;
    std::fflush(stdout);
  }
  if (!o.json) row(net.name, 1, gops, {code, real, pack, "sum"});
}

void run_bench(const Options& o) {
  if (o.threads > 0) set_num_threads(o.threads);
  if (!o.isa.empty()) {
    for (Isa isa : available_isas())
      if (o.isa == name(isa)) set_active_isa(isa);
    if (o.isa != name(active_isa()))
      throw ConfigError(str("bench_conv_int8: --isa '", o.isa, "' is not available here"));
  }
  const double peak = vnni_peak();
  const char* const head =
      o.json
          ? "{\"machine\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"batch\": %ld, "
            "\"vnni_peak_gops\": %.1f, \"layers\": ["
          : "# %s, %s, %d threads, batch %ld, vpdpbusd peak %.0f GOP/s; u8 -> u8 | u8 -> f32: ms, "
            "GOP/s, of peak | packing weights\n";
  std::printf(head, bench::machine().c_str(), name(active_isa()), num_threads(), o.batch, peak);
  bool first_row = true;
  for (const bench::Net& net : {bench::resnet18(), bench::mobilenet_v2()})
    if (o.net.empty() || o.net == net.name) bench_net(net, o, peak, first_row);
  if (o.json) std::printf("\n]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run_bench(bench::parse(argc, argv));
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n%s\n", e.what(), e.hint().c_str());
    return e.exit_code();
  }
}
