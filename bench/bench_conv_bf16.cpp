// Times the backward passes of integer convolutions in each precision of the gradient: f32 on
// dequantized operands, two bf16 terms, one.
//   bench_conv_bf16 [--net resnet18|mobilenet_v2] [--layer TEXT] [--batch 32] [--threads N]
//   [--isa NAME] [--seconds 0.3]
// Prints the median milliseconds for each distinct layer but the depthwise ones, which stay f32,
// and the sums over each network (every layer as often as the network has it; the first layer needs
// no gradient of its data).
#include <cstdio>

#include "autograd/conv_integer.h"
#include "autograd/grad_precision.h"
#include "bench/conv_layers.h"
#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"

namespace {

using namespace stair;
using namespace stair::bench;
using autograd::GradPrecision;

constexpr GradPrecision kPrecisions[] = {GradPrecision::f32, GradPrecision::bf16x2,
                                         GradPrecision::bf16};

// Milliseconds by precision.
struct Times {
  double data[3] = {}, weights[3] = {};
};

Tensor codes(Shape shape, DType dtype, uint64_t seed, QParams qparams) {
  Tensor t = Tensor::empty(std::move(shape), dtype);
  Random random(seed, 0);
  for (int64_t i = 0; i < t.numel(); ++i) t.raw()[i] = static_cast<std::byte>(random.bits());
  return t.with_qparams(std::move(qparams));
}

Times time_layer(const Layer& l, double seconds) {
  const kernels::ConvShape& s = l.s;
  Tensor x = codes({s.n, s.h, s.w, s.c}, DType::u8, 1, {{0.01F}, {100}});
  const auto channels = static_cast<size_t>(s.o);
  Tensor w = codes({s.o, s.kh, s.kw, s.i()}, DType::s8, 2,
                   {std::vector<float>(channels, 0.01F), std::vector<int32_t>(channels), 0});
  Tensor gy = Tensor::empty({s.n, s.oh(), s.ow(), s.o}, DType::f32);
  Random random(3, 0);
  for (int64_t i = 0; i < gy.numel(); ++i) gy.data<float>()[i] = random.uniform(-1.0F, 1.0F);
  Times t;
  for (int i = 0; i < 3; ++i) {
    autograd::set_grad_precision(kPrecisions[i]);
    if (!l.first)
      t.data[i] = median_ms(
          seconds, [&] { (void)autograd::conv_backward(s, x, w, gy, true, false, false); });
    t.weights[i] =
        median_ms(seconds, [&] { (void)autograd::conv_backward(s, x, w, gy, false, true, false); });
  }
  return t;
}

// Dashes for the gradient of the pictures, which nobody needs.
std::string columns(const double (&ms)[3]) {
  char text[64] = "       -        -        - (   -     - )";
  if (ms[0] > 0)
    std::snprintf(text, sizeof(text), "%8.2f %8.2f %8.2f (%4.2fx %4.2fx)", ms[0], ms[1], ms[2],
                  ms[0] / ms[1], ms[0] / ms[2]);
  return text;
}

void print_row(const std::string& name, int count, const Times& t) {
  std::printf("%-22s x%-2d  %s  | %s\n", name.c_str(), count, columns(t.data).c_str(),
              columns(t.weights).c_str());
  std::fflush(stdout);
}

void bench_net(const Net& net, const Options& o) {
  Times total;
  for (Layer l : net.layers) {
    l.s.n = o.batch;
    const std::string name = layer_name(l.s);
    if (l.s.depthwise() || name.find(o.layer) == std::string::npos) continue;
    const Times t = time_layer(l, o.seconds);
    for (int i = 0; i < 3; ++i) {
      total.data[i] += t.data[i] * l.count;
      total.weights[i] += t.weights[i] * l.count;
    }
    print_row(name, l.count, t);
  }
  print_row(net.name, 1, total);
}

void run_bench(const Options& o) {
  if (o.threads > 0) set_num_threads(o.threads);
  if (!o.isa.empty()) {
    for (Isa isa : available_isas())
      if (o.isa == name(isa)) set_active_isa(isa);
    if (o.isa != name(active_isa()))
      throw ConfigError(str("bench_conv_bf16: --isa '", o.isa, "' is not available here"));
  }
  std::printf(
      "# %s, %s, %d threads, batch %ld; f32 bf16x2 bf16 in ms (times as fast as f32): "
      "backward data | backward weights\n",
      machine().c_str(), name(active_isa()), num_threads(), o.batch);
  for (const Net& net : {resnet18(), mobilenet_v2()})
    if (o.net.empty() || o.net == net.name) bench_net(net, o);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run_bench(parse(argc, argv));
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n%s\n", e.what(), e.hint().c_str());
    return e.exit_code();
  }
}
