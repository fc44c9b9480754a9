// Times training steps and inference on random pictures.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>

#include "apps/program/environment.h"
#include "apps/program/options.h"
#include "apps/program/report.h"
#include "apps/program/run_main.h"
#include "apps/train/network.h"
#include "autograd/ops/cross_entropy.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/storage.h"
#include "core/text.h"
#include "nn/model.h"
#include "nn/optimizer.h"
#include "qat/convert.h"

namespace stair::apps {
namespace {

struct Settings {
  std::string model = "resnet18", quantizer = "ste", compare;
  std::vector<std::string> jobs = {"train_float", "train_qat", "infer_float", "infer_int8"};
  int64_t batch = 32, size = 0, reps = 7, warmup = 2;
  double min_time = 0;
  int threads = 0;
};

struct Timing {
  std::string name;
  int64_t images = 0;           // of one call
  std::vector<double> seconds;  // of each call, sorted
  double cpu_seconds = 0;       // of all threads, a call
  size_t peak_bytes = 0, base_rss = 0, peak_rss = 0;

  double quantile(double q) const {
    const auto last = static_cast<double>(seconds.size() - 1);
    return seconds[static_cast<size_t>(q * last + 0.5)];
  }
  double images_per_second() const { return static_cast<double>(images) / quantile(0.5); }
};

void add_flags(Options& options, Settings& s) {
  options.group("Benchmark");
  options.choice("--model", s.model, model_names(), {.help = "network", .usual = true});
  options.texts("--jobs", s.jobs,
                {.help = "train_float, train_qat, infer_float, infer_int8", .usual = true});
  options.integer("-b,--batch-size", s.batch, {.min = 1, .max = 65536},
                  {.help = "pictures a call", .usual = true});
  options.integer("--size", s.size, {.min = 0, .max = 4096},
                  {.help = "side of the pictures, 0: the network's own", .unit = "pixels"});
  options.integer("--reps", s.reps, {.min = 1, .max = 1'000'000}, {.help = "timed calls"});
  options.integer("--warmup", s.warmup, {.min = 1, .max = 1000}, {.help = "calls before these"});
  options.real("--min-time", s.min_time, {.min = 0, .max = 3600},
               {.help = "more calls until they took so long", .unit = "s"});
  options.choice("--quantizer", s.quantizer, quantizer_names(), {.help = "of train_qat"});
  options.text(
      "--compare", s.compare,
      {.help = "the --json of an earlier run: shows how much faster this one is", .value = "FILE"});
  options.integer("--threads", s.threads, {.min = 0, .max = 4096},
                  {.help = "of computing, 0: all cores", .environment = "STAIR_NUM_THREADS"});
  options.example("qat_bench --model mobilenet_v2 --jobs train_float,train_qat",
                  "how much a QAT step costs beside a float step");
  options.example("qat_bench --jobs infer_int8 -b 1 --reps 300", "latency of one picture");
}

double cpu_now() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

size_t rss_peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

template <class F>
Timing timed(const Settings& s, const std::string& job, const F& call) {
  using Clock = std::chrono::steady_clock;
  Timing t;
  t.name = str(s.model, '/', job, "/batch:", s.batch, "/threads:", num_threads());
  t.images = s.batch;
  t.base_rss = rss_peak();
  for (int64_t i = 0; i < s.warmup; ++i) call();
  reset_peak_memory();
  const double cpu = cpu_now();
  const auto begin = Clock::now();
  const auto since = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  while (static_cast<int64_t>(t.seconds.size()) < s.reps || since(begin) < s.min_time) {
    const auto start = Clock::now();
    call();
    t.seconds.push_back(since(start));
  }
  t.cpu_seconds = (cpu_now() - cpu) / static_cast<double>(t.seconds.size());
  t.peak_bytes = memory_stats().peak_bytes;
  t.peak_rss = rss_peak();
  std::sort(t.seconds.begin(), t.seconds.end());
  return t;
}

Tensor pictures(int64_t batch, int64_t size) {
  Tensor x = Tensor::empty({batch, size, size, 3}, DType::f32);
  Random random(1, 0);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

Timing time_training(const Settings& s, const std::string& job, nn::GraphModule& model,
                     const Tensor& x) {
  autograd::SgdOptions sgd;
  sgd.momentum = 0.9;
  nn::Sgd optimizer(nn::decay_groups(model.named_parameters(), 1e-4), sgd);
  Tensor labels = Tensor::empty({s.batch}, DType::s64);
  for (int64_t i = 0; i < s.batch; ++i) labels.data<int64_t>()[i] = i % 10;
  model.train();
  return timed(s, job, [&] {
    autograd::cross_entropy(model(autograd::Variable(x)), labels, {}).backward();
    optimizer.step(1e-3);
    optimizer.zero_grad();
  });
}

Timing run_job(const Settings& s, const std::string& job) {
  TrainConfig config;
  config.model.model = s.model;
  config.quantizer = s.quantizer;
  const int64_t size = s.size > 0 ? s.size : nn::find_model(s.model).input_size;
  const int64_t classes = size <= 32 ? 10 : 1000;
  const auto graph = build_float(config.model, classes, static_cast<int>(size), 1);
  const Tensor x = pictures(s.batch, size);
  if (job == "train_float") return time_training(s, job, *graph, x);
  if (job == "infer_float") {
    const Network network = network_of(*graph);
    return timed(s, job, [&] { (void)network(x); });
  }
  const auto qat = build_qat(*graph, config).graph;
  if (job == "train_qat") return time_training(s, job, *qat, x);
  {
    const autograd::NoGrad no_grad;
    (void)(*qat)(autograd::Variable(pictures(2, size)));  // gives every quantizer its range
  }
  qat::Int8Session session(qat::convert(qat->graph()));
  return timed(s, job, [&] { (void)session.run(x); });
}

Json to_json(const Timing& t) {
  const double median = t.quantile(0.5);
  Json j = Json::object();
  j.set("name", t.name);
  j.set("run_name", t.name);
  j.set("run_type", "iteration");
  j.set("iterations", t.seconds.size());
  j.set("real_time", 1e3 * median);
  j.set("cpu_time", 1e3 * t.cpu_seconds);
  j.set("time_unit", "ms");
  j.set("items_per_second", t.images_per_second());
  j.set("min_ms", 1e3 * t.seconds.front());
  j.set("p99_ms", 1e3 * t.quantile(0.99));
  j.set("peak_tensor_bytes", t.peak_bytes);
  j.set("base_rss_bytes", t.base_rss);
  j.set("peak_rss_bytes", t.peak_rss);
  return j;
}

std::string line(const Timing& t, std::optional<double> before) {
  std::string text = str(t.name, ": median ", fixed(1e3 * t.quantile(0.5), 2), " ms, p99 ",
                         fixed(1e3 * t.quantile(0.99), 2), " ms, ", fixed(t.images_per_second(), 1),
                         " img/s, tensors ", human_bytes(t.peak_bytes));
  if (before) text += str(", ", fixed(t.images_per_second() / *before, 3), "x of before");
  return text;
}

std::optional<double> rate_before(const Json& earlier, const std::string& name) {
  if (!earlier.is_object()) return std::nullopt;
  for (const Json& b : earlier.at("benchmarks").as_array())
    if (b.at("name").as_string() == name) return b.at("items_per_second").as_double();
  return std::nullopt;
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_bench", "Times training steps and inference on random pictures.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  const Settings all;
  for (const std::string& job : s.jobs)
    if (std::find(all.jobs.begin(), all.jobs.end(), job) == all.jobs.end())
      throw ConfigError(
          str("--jobs: there is no job '", job, "'"),
          str("did you mean '", nearest(job, all.jobs), "'? there are ", join(all.jobs, ", ")));
  if (s.threads > 0) set_num_threads(s.threads);
  Json earlier;
  if (!s.compare.empty())
    earlier = parse_json(read_file(s.compare, 16 << 20, FileUse::data), s.compare);
  Json list = Json::array();
  for (const std::string& job : s.jobs) {
    const Timing t = run_job(s, job);
    release_cached_memory();
    list.push_back(to_json(t));
    if (!options.json() && !options.quiet())
      std::cout << line(t, rate_before(earlier, t.name)) << std::endl;
  }
  if (options.json()) {
    Json report = Json::object();
    report.set("context", environment());
    report.set("benchmarks", std::move(list));
    std::cout << report.dump(1) << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
