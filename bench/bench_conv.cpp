// Times the float convolutions of ResNet-18 and MobileNetV2 at 224 pixels, each distinct layer
// alone.
//   bench_conv [--net resnet18|mobilenet_v2] [--layer TEXT] [--batch 32] [--threads N] [--isa NAME]
//   [--seconds 0.3] [--json]
// Prints the median milliseconds and GFLOP/s of forward, backward to the data and backward to the
// weights, and the sums over each network (every layer as often as the network has it; the first
// layer needs no gradient of its data).
#include <cstdio>
#include <cstring>

#include "bench/conv_layers.h"
#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/storage.h"

namespace {

using namespace stair;
using namespace stair::kernels;
using namespace stair::bench;

Scratch random_floats(int64_t count, uint64_t seed) {
  Scratch out(static_cast<size_t>(count) * sizeof(float));
  parallel_for(count, 1 << 16, [&](int64_t begin, int64_t end) {
    Random random(seed, static_cast<uint64_t>(begin));
    for (int64_t i = begin; i < end; ++i) out.as<float>()[i] = random.uniform(-1.0F, 1.0F);
  });
  return out;
}

struct Times {
  double forward, data, weights;
};

Times time_layer(const Layer& l, double seconds) {
  const ConvShape& s = l.s;
  const int64_t in = s.n * s.h * s.w * s.c, out = s.rows() * s.o, weights = s.o * s.k();
  const Scratch x = random_floats(in, 1), w = random_floats(weights, 2), y = random_floats(out, 3),
                gx(static_cast<size_t>(in) * 4), gw(static_cast<size_t>(weights) * 4);
  Times t{};
  t.forward = median_ms(seconds, [&] {
    run<ConvForward<float>>({s, x.as<float>(), w.as<float>(), nullptr, y.as<float>()});
  });
  if (!l.first)
    t.data = median_ms(seconds, [&] {
      run<ConvBackwardData<float>>({s, y.as<float>(), w.as<float>(), gx.as<float>()});
    });
  t.weights = median_ms(seconds, [&] {
    run<ConvBackwardWeights<float>>({s, x.as<float>(), y.as<float>(), gw.as<float>()});
  });
  return t;
}

void bench_net(Net net, const Options& o, bool& first_row) {
  double total[3] = {}, flops[3] = {};
  for (Layer& l : net.layers) {
    l.s.n = o.batch;
    const std::string name = layer_name(l.s);
    if (name.find(o.layer) == std::string::npos) continue;
    const Times t = time_layer(l, o.seconds);
    const double gflop = 2e-9 * static_cast<double>(l.s.rows() * l.s.o * l.s.k());
    const double ms[3] = {t.forward, t.data, t.weights};
    for (int i = 0; i < 3; ++i) {
      total[i] += ms[i] * l.count;
      if (ms[i] > 0) flops[i] += gflop * l.count;
    }
    const auto speed = [&](double v) { return v > 0 ? gflop / v * 1e3 : 0.0; };
    if (o.json) {
      std::printf(
          "%s\n    {\"net\": \"%s\", \"layer\": \"%s\", \"count\": %d, \"c\": %ld, \"o\": %ld, "
          "\"h\": %ld, \"k\": %ld, \"stride\": %ld, "
          "\"groups\": %ld, \"forward_ms\": %.4f, \"backward_data_ms\": %.4f, "
          "\"backward_weights_ms\": %.4f}",
          first_row ? "" : ",", net.name, name.c_str(), l.count, l.s.c, l.s.o, l.s.h, l.s.kh,
          l.s.stride_h, l.s.groups, ms[0], ms[1], ms[2]);
      first_row = false;
    } else {
      std::printf("%-22s x%d  %8.3f ms %6.1f  | %8.3f ms %6.1f  | %8.3f ms %6.1f\n", name.c_str(),
                  l.count, ms[0], speed(ms[0]), ms[1], speed(ms[1]), ms[2], speed(ms[2]));
    }
    std::fflush(stdout);
  }
  if (o.json) return;
  std::printf("%-22s     %8.2f ms %6.1f  | %8.2f ms %6.1f  | %8.2f ms %6.1f  | step %.2f ms\n",
              net.name, total[0], flops[0] / total[0] * 1e3, total[1], flops[1] / total[1] * 1e3,
              total[2], flops[2] / total[2] * 1e3, total[0] + total[1] + total[2]);
}

void run_bench(const Options& o) {
  if (o.threads > 0) set_num_threads(o.threads);
  if (!o.isa.empty()) {
    for (Isa isa : available_isas())
      if (o.isa == name(isa)) set_active_isa(isa);
    if (o.isa != name(active_isa()))
      throw ConfigError(str("bench_conv: --isa '", o.isa, "' is not available here"));
  }
  const char* const head =
      o.json
          ? "{\"machine\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"batch\": %ld, \"layers\": ["
          : "# %s, %s, %d threads, batch %ld; forward | backward data | backward weights, ms and "
            "GFLOP/s\n";
  std::printf(head, machine().c_str(), name(active_isa()), num_threads(), o.batch);
  bool first_row = true;
  for (const Net& net : {resnet18(), mobilenet_v2()})
    if (o.net.empty() || o.net == net.name) bench_net(net, o, first_row);
  if (o.json) std::printf("\n]}\n");
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
