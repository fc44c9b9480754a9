// Times the passes over activations, which memory bounds, at the layer sizes of ResNet-18.
//   bench_passes [--batch 32] [--threads N] [--isa NAME] [--seconds 0.3] [--pass TEXT] [--json]
// Prints GB/s, counting every byte that a pass must read or write once a sweep (batch norm sweeps
// twice), of the median and of the best run, and the median's share of a triad y = a + s * b on
// arrays of the same size.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/storage.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/quantize/quantize.h"
#include "kernels/reduce/reduce.h"

namespace {

using namespace stair;
using namespace stair::kernels;

struct Options {
  std::string isa, pass;
  int64_t batch = 32;
  int threads = 0;
  double seconds = 0.3;
  bool json = false;
};

struct Layer {
  int64_t size, channels;
};

constexpr Layer kLayers[] = {{112, 64}, {56, 64}, {28, 128}, {14, 256}, {7, 512}};

struct Pass {
  const char* name;
  double bytes;  // of one run
  std::function<void()> run;
};

// The arrays of one layer, and the passes over them.
class Bench {
 public:
  Bench(const Layer& l, int64_t batch)
      : rows_(batch * l.size * l.size), c_(l.channels), n_(rows_ * c_), small_(16 * l.channels) {
    for (auto* array : {&a_, &b_, &y_, &v_, &m_}) {
      *array = floats(n_);
      Random random(static_cast<uint64_t>(array - &a_));
      for (int64_t i = 0; i < n_; ++i)
        data(*array)[i] = i < 4096 ? random.normal() : at(i - 4096, *array);
    }
    small_block_ = floats(small_);
    std::fill_n(data(small_block_), small_, 0.5F);
    codes_ = allocate(static_cast<size_t>(n_));
    mask_ = allocate(static_cast<size_t>(n_ / 8 + 8));
    index_ = allocate(static_cast<size_t>(n_) * 4);
    pool_ = {.n = batch,
             .h = l.size,
             .w = l.size,
             .c = c_,
             .kh = 3,
             .kw = 3,
             .stride_h = 2,
             .stride_w = 2,
             .pad_top = 1,
             .pad_left = 1,
             .pad_bottom = 1,
             .pad_right = 1};
    global_ = {.n = batch, .h = l.size, .w = l.size, .c = c_, .kh = l.size, .kw = l.size};
  }

  std::vector<Pass> passes() {
    std::vector<Pass> list = elementwise_passes();
    for (auto& more : {norm_passes(), quantize_passes(), pool_passes(), optimizer_passes()})
      list.insert(list.end(), more.begin(), more.end());
    return list;
  }

 private:
  using Block = std::shared_ptr<std::byte>;
  static Block floats(int64_t n) { return allocate(static_cast<size_t>(n) * sizeof(float)); }
  static float* data(const Block& block) { return reinterpret_cast<float*>(block.get()); }
  static float at(int64_t i, const Block& block) { return data(block)[i]; }
  float* small(int64_t i) { return data(small_block_) + i * c_; }
  double bytes(double each) const { return each * static_cast<double>(n_); }

  std::vector<Pass> elementwise_passes() {
    float *a = data(a_), *b = data(b_), *y = data(y_);
    return {{"triad", bytes(12),
             [=, n = n_] {
               parallel_for(n, 32768, [=](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) y[i] = a[i] + 0.5F * b[i];
               });
             }},
            {"add", bytes(12),
             [=, this] {
               run<Binary<float>>({BinaryFn::add, n_, a, b, y});
             }},
            {"relu", bytes(8),
             [=, this] {
               run<Unary<float>>({UnaryFn::relu, n_, a, y});
             }},
            {"relu backward", bytes(12),
             [=, this] {
               run<UnaryBackward<float>>({UnaryFn::relu, n_, a, b, y});
             }},
            {"hardswish", bytes(8),
             [=, this] {
               run<Unary<float>>({UnaryFn::hardswish, n_, a, y});
             }},
            {"silu", bytes(8), [=, this] {
               run<Unary<float>>({UnaryFn::silu, n_, a, y});
             }}};
  }

  std::vector<Pass> norm_passes() {
    float *x = data(a_), *gy = data(b_), *y = data(y_);
    const auto forward = [=, this](bool training) {
      run<BatchNormForward<float>>(
          {rows_, c_, training, 1e-5F, x, small(0), small(1), small(2), small(3), small(4), y});
    };
    return {{"batch norm forward", bytes(12), [=] { forward(true); }},
            {"batch norm evaluation", bytes(8), [=] { forward(false); }},
            {"batch norm backward", bytes(20), [=, this] {
               run<BatchNormBackward<float>>(
                   {rows_, c_, true, x, gy, small(0), small(2), small(4), y, small(5), small(6)});
             }}};
  }

  std::vector<Pass> quantize_passes() {
    float *x = data(a_), *y = data(y_);
    auto* codes = reinterpret_cast<uint8_t*>(codes_.get());
    auto* mask = reinterpret_cast<uint8_t*>(mask_.get());
    const auto quantize = [=, this](uint8_t* inside) {
      run<Quantize<float>>(
          {{1, 1, n_}, x, &scale_, &zero_point_, 0, 255, true, DType::u8, codes, inside});
    };
    return {{"quantize", bytes(5), [=] { quantize(nullptr); }},
            {"quantize and mask", bytes(5.125), [=] { quantize(mask); }},
            {"dequantize", bytes(5),
             [=, this] {
               run<Dequantize<float>>({{1, 1, n_}, DType::u8, codes, &scale_, &zero_point_, y});
             }},
            {"apply mask", bytes(8.125),
             [=, this] {
               run<ApplyMask<float>>({n_, mask, x, y});
             }},
            {"min max", bytes(4),
             [=, this] {
               run<MinMax<float>>({{1, 1, n_}, x, small(7), small(8), &non_finite_});
             }},
            {"min max per channel", bytes(4),
             [=, this] {
               run<MinMax<float>>({{rows_, c_, 1}, x, small(7), small(8), &non_finite_});
             }},
            {"sum channels", bytes(4), [=, this] {
               run<SumChannels<float>>({{rows_, c_, 1}, x, small(9)});
             }}};
  }

  std::vector<Pass> pool_passes() {
    float *x = data(a_), *y = data(y_);
    auto* index = reinterpret_cast<int32_t*>(index_.get());
    const double out = static_cast<double>(pool_.n * pool_.oh() * pool_.ow() * c_);
    return {{"max pool 3x3/2", bytes(4) + 8 * out,
             [=, this] {
               run<MaxPool<float>>({pool_, x, y, index});
             }},
            {"max pool backward", bytes(4) + 8 * out,
             [=, this] {
               run<MaxPoolBackward<float>>({pool_, y, index, x});
             }},
            {"global average", bytes(4), [=, this] {
               run<AvgPool<float>>({global_, x, y});
             }}};
  }

  std::vector<Pass> optimizer_passes() {
    float *g = data(a_), *p = data(b_), *v = data(v_), *m = data(m_);
    std::fill_n(v, n_, 0.0F);
    return {{"sgd", bytes(20),
             [=, this] {
               run<Sgd<float>>({n_, 1e-6, 0.9, 0, 1e-4, false, false, g, m, p});
             }},
            {"adam", bytes(28), [=, this] {
               run<Adam<float>>({n_, 1e-6, 0.9, 0.999, 1e-8, 0, false, 1, g, m, v, p});
             }}};
  }

  int64_t rows_, c_, n_, small_;
  Block a_, b_, y_, v_, m_, small_block_, codes_, mask_, index_;
  PoolShape pool_, global_;
  float scale_ = 0.02F;
  int32_t zero_point_ = 0;
  int64_t non_finite_ = 0;
};

struct Rate {
  double median, best;  // GB/s
};

Rate measure(const Pass& pass, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  pass.run();
  const auto start = Clock::now();
  do {
    const auto before = Clock::now();
    pass.run();
    times.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  } while (std::chrono::duration<double>(Clock::now() - start).count() < seconds ||
           times.size() < 5);
  std::sort(times.begin(), times.end());
  return {pass.bytes / times[times.size() / 2] * 1e-9, pass.bytes / times[0] * 1e-9};
}

void run_layer(const Layer& layer, const Options& o) {
  Bench bench(layer, o.batch);
  double triad = 0;
  for (const Pass& pass : bench.passes()) {
    const bool is_triad = std::strcmp(pass.name, "triad") == 0;
    if (!is_triad && std::string(pass.name).find(o.pass) == std::string::npos) continue;
    const Rate rate = measure(pass, o.seconds);
    if (is_triad) triad = rate.median;
    const char* format =
        o.json
            ? "{\"layer\": \"%ldx%ldx%ld\", \"pass\": \"%s\", \"gb_s\": %.2f, \"best_gb_s\": %.2f, "
              "\"of_triad\": %.3f}\n"
            : "%3ldx%ldx%-4ld %-22s %8.2f GB/s  best %8.2f  %5.2f of triad\n";
    std::printf(format, static_cast<long>(layer.size), static_cast<long>(layer.size),
                static_cast<long>(layer.channels), pass.name, rate.median, rate.best,
                rate.median / triad);
    std::fflush(stdout);
  }
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--json") {
      o.json = true;
      continue;
    }
    ++i;
    if (flag == "--batch")
      o.batch = std::atoll(value);
    else if (flag == "--threads")
      o.threads = std::atoi(value);
    else if (flag == "--seconds")
      o.seconds = std::atof(value);
    else if (flag == "--isa")
      o.isa = value;
    else if (flag == "--pass")
      o.pass = value;
    else
      throw ConfigError(str("bench_passes: no flag '", flag, "'"),
                        "see the head of bench/bench_passes.cpp");
  }
  return o;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options o = parse(argc, argv);
    if (o.threads > 0) set_num_threads(o.threads);
    for (Isa isa : available_isas())
      if (o.isa == name(isa)) set_active_isa(isa);
    if (!o.isa.empty() && o.isa != name(active_isa()))
      throw ConfigError(str("--isa ", o.isa, " is not of this machine"));
    if (!o.json)
      std::printf("%d threads, %s, batch %ld\n", num_threads(), name(active_isa()),
                  static_cast<long>(o.batch));
    for (const Layer& layer : kLayers) run_layer(layer, o);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n%s\n", error.what(), error.hint().c_str());
    return error.exit_code();
  }
}
