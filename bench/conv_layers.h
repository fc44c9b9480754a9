// The convolutions of ResNet-18 and MobileNetV2 at 224 pixels, and what timing them needs.
#pragma once

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "kernels/conv/conv.h"

namespace stair::bench {

struct Layer {
  kernels::ConvShape s;
  int count = 1;
  bool first = false;  // reads the pictures
};

struct Net {
  const char* name;
  std::vector<Layer> layers;

  // Adds a layer with 'same' padding, or counts one more of it. Returns the height of its output.
  int64_t add(int64_t c, int64_t o, int64_t h, int64_t k, int64_t stride, int64_t groups = 1) {
    const int64_t pad = (k - 1) / 2;
    kernels::ConvShape s{.h = h, .w = h, .c = c, .o = o, .kh = k, .kw = k};
    s.stride_h = s.stride_w = stride;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = pad;
    s.groups = groups;
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

inline Net resnet18() {
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

inline Net mobilenet_v2() {
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

inline std::string layer_name(const kernels::ConvShape& s) {
  return str(s.kh, "x", s.kw, s.stride_h > 1 ? str("/", s.stride_h) : "",
             s.depthwise() ? " dw" : "", " ", s.c, "-", s.o, " @", s.h);
}

inline std::string machine() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown machine";
}

// Median milliseconds of repeated calls: at least 5, and until `seconds` have passed.
inline double median_ms(double seconds, const std::function<void()>& f) {
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

// Flags of the programs that time convolutions.
struct Options {
  std::string net, layer, isa;
  int64_t batch = 32;
  int threads = 0;
  int w_bits = 8;
  double seconds = 0.3;
  bool json = false;
};

inline Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json") {
      o.json = true;
      continue;
    }
    if (i + 1 == argc)
      throw ConfigError(str("flag '", flag, "' needs a value"),
                        "see the head of the program's source");
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
    else if (flag == "--w-bits")
      o.w_bits = std::stoi(value);
    else if (flag == "--seconds")
      o.seconds = std::stod(value);
    else
      throw ConfigError(str("unknown flag '", flag, "'"), "see the head of the program's source");
  }
  return o;
}

}  // namespace stair::bench
