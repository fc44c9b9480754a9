// Times the float convolutions of ResNet-18 and MobileNetV2 at 224 pixels, each distinct layer
// alone.
//   bench_conv [--net resnet18|mobilenet_v2] [--layer TEXT] [--batch 32] [--threads N] [--isa NAME]
//   [--seconds 0.3] [--json]
// Prints the median milliseconds and GFLOP/s of forward, backward to the data and backward to the
// weights, and the sums over each network (every layer as often as the network has it; the first
// layer needs no gradient of its data).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/storage.h"
#include "kernels/conv/conv.h"

namespace {

using namespace stair;
using namespace stair::kernels;

struct Options {
  std::string net, layer, isa;
  int64_t batch = 32;
  int threads = 0;
  double seconds = 0.3;
  bool json = false;
};

struct Layer {
  ConvShape s;
  int count = 1;
  bool first = false;
};

struct Net {
  const char* name;
  std::vector<Layer> layers;

  // Adds a layer with 'same' padding, or counts one more of it. Returns the height of its output.
  int64_t add(int64_t c, int64_t o, int64_t h, int64_t k, int64_t stride, int64_t groups = 1) {
    const int64_t pad = (k - 1) / 2;
    const ConvShape s{.h = h,
                      .w = h,
                      .c = c,
                      .o = o,
                      .kh = k,
                      .kw = k,
                      .stride_h = stride,
                      .stride_w = stride,
                      .pad_top = pad,
                      .pad_left = pad,
                      .pad_bottom = pad,
                      .pad_right = pad,
                      .groups = groups};
    for (Layer& l : layers)
      if (l.s.c == c && l.s.o == o && l.s.h == h && l.s.kh == k && l.s.stride_h == stride &&
          l.s.groups == groups) {
        ++l.count;
        return s.oh();
      }
    layers.push_back({s, 1, layers.empty()});
    return s.oh();
  }
};

Net resnet18() {
  Net net{"resnet18", {}};
  net.add(3, 64, 224, 7, 2);
  int64_t c = 64, h = 56;
  for (int64_t o : {64, 128, 256, 512}) {
    const int64_t stride = o == 64 ? 1 : 2, out = net.add(c, o, h, 3, stride);
    if (stride == 2) net.add(c, o, h, 1, 2);
    for (int i = 0; i < 3; ++i) net.add(o, o, out, 3, 1);
    c = o, h = out;
  }
  net.add(512, 1000, 1, 1, 1);
  return net;
}

Net mobilenet_v2() {
  struct Stage {
    int64_t expand, out, repeat, stride;
  };
  Net net{"mobilenet_v2", {}};
  int64_t h = net.add(3, 32, 224, 3, 2), c = 32;
  for (const Stage& stage : {Stage{1, 16, 1, 1},
                             {6, 24, 2, 2},
                             {6, 32, 3, 2},
                             {6, 64, 4, 2},
                             {6, 96, 3, 1},
                             {6, 160, 3, 2},
                             {6, 320, 1, 1}})
    for (int64_t i = 0; i < stage.repeat; ++i) {
      const int64_t wide = c * stage.expand;
      if (stage.expand > 1) net.add(c, wide, h, 1, 1);
      h = net.add(wide, wide, h, 3, i == 0 ? stage.stride : 1, wide);
      net.add(wide, stage.out, h, 1, 1);
      c = stage.out;
    }
  net.add(c, 1280, h, 1, 1);
  net.add(1280, 1000, 1, 1, 1);
  return net;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json") {
      o.json = true;
      continue;
    }
    if (i + 1 == argc)
      throw ConfigError(str("bench_conv: flag '", flag, "' needs a value"),
                        "see the head of bench/bench_conv.cpp");
    const std::string value = argv[++i];
    if (flag == "--net")
      o.net = value;
    else if (flag == "--layer")
      o.layer = value;
    else if (flag == "--isa")
      o.isa = value;
    else if (flag == "--batch")
      o.batch = std::stoll(value);
    else if (flag == "--threads")
      o.threads = std::stoi(value);
    else if (flag == "--seconds")
      o.seconds = std::stod(value);
    else
      throw ConfigError(str("bench_conv: unknown flag '", flag, "'"),
                        "see the head of bench/bench_conv.cpp");
  }
  return o;
}

std::string machine() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown machine";
}

// Median milliseconds of repeated calls: at least 5, and until `seconds` have passed.
double median_ms(double seconds, const std::function<void()>& f) {
  using Clock = std::chrono::steady_clock;
  f();
  std::vector<double> times;
  for (const auto start = Clock::now();
       times.size() < 5 || std::chrono::duration<double>(Clock::now() - start).count() < seconds;) {
    const auto before = Clock::now();
    f();
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - before).count());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

Scratch random_floats(int64_t count, uint64_t seed) {
  Scratch out(static_cast<size_t>(count) * sizeof(float));
  parallel_for(count, 1 << 16, [&](int64_t begin, int64_t end) {
    Random random(seed, static_cast<uint64_t>(begin));
    for (int64_t i = begin; i < end; ++i) out.as<float>()[i] = random.uniform(-1.0F, 1.0F);
  });
  return out;
}

std::string layer_name(const ConvShape& s) {
  return str(s.kh, "x", s.kw, s.stride_h > 1 ? str("/", s.stride_h) : "",
             s.depthwise() ? " dw" : "", " ", s.c, "-", s.o, " @", s.h);
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

void bench(const Options& o) {
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
    bench(parse(argc, argv));
    return 0;
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n%s\n", e.what(), e.hint().c_str());
    return e.exit_code();
  }
}
