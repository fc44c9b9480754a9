// Times training steps, inference and calibration on random pictures.
#include <iostream>

#include "apps/bench/jobs.h"
#include "apps/program/environment.h"
#include "apps/program/options.h"
#include "apps/program/run_main.h"
#include "apps/train/config.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/storage.h"

namespace stair::apps {
namespace {

struct Settings {
  JobSettings job;
  std::vector<std::string> jobs = job_names();
  std::string compare, grad_precision;
  bool peak = false, memory_report = false, pin = false;
  int threads = 0;
};

void add_flags(Options& options, Settings& s) {
  options.group("Benchmark");
  options.choice("--model", s.job.model, model_names(), {.help = "network", .usual = true});
  options.texts(
      "--jobs", s.jobs,
      {.help = "train_float, train_qat, infer_float, infer_int8, calibrate; none with --peak alone",
       .usual = true});
  options.integer("-b,--batch-size", s.job.batch, {.min = 1, .max = 65536},
                  {.help = "pictures a call", .usual = true});
  options.integer("--size", s.job.size, {.min = 0, .max = 4096},
                  {.help = "side of the pictures, 0: the network's own", .unit = "pixels"});
  options.integer("--reps", s.job.timing.reps, {.min = 1, .max = 1'000'000},
                  {.help = "timed calls"});
  options.integer("--warmup", s.job.timing.warmup, {.min = 1, .max = 1000},
                  {.help = "calls before these"});
  options.real("--min-time", s.job.timing.min_time, {.min = 0, .max = 3600},
               {.help = "more calls until they took so long", .unit = "s"});
  options.choice("--quantizer", s.job.quantizer, quantizer_names(), {.help = "of train_qat"});
  add_grad_precision_flag(options, s.grad_precision);
  options.flag("--recompute", s.job.recompute,
               {.help = "training keeps less for the backward and computes it again"});
  options.flag("--layers", s.job.layers,
               {.help = "a row a layer: time, rate, share of the measured peak"});
  options.flag("--peak", s.peak, {.help = "measure the peaks of this machine"});
  options.flag("--memory-report", s.memory_report,
               {.help = "peak of the timed calls by what it was for"});
  options.text(
      "--compare", s.compare,
      {.help = "the --json of an earlier run: shows how much faster this one is", .value = "FILE"});
  options.integer("--threads", s.threads, {.min = 0, .max = 4096},
                  {.help = "of computing, 0: all cores", .environment = "STAIR_NUM_THREADS"});
  options.flag("--pin", s.pin, {.help = "keep each thread on a core of its own"});
  options.example("qat_bench --model mobilenet_v2 --jobs train_float,train_qat",
                  "how much a QAT step costs beside a float step");
  options.example("qat_bench --jobs infer_int8 -b 1 --reps 300", "latency of one picture");
  options.example("qat_bench --jobs train_qat --layers --memory-report",
                  "where time and memory of a QAT step go");
}

std::optional<double> rate_before(const Json& earlier, const std::string& name) {
  if (!earlier.is_object()) return std::nullopt;
  for (const Json& b : earlier.at("benchmarks").as_array())
    if (b.at("name").as_string() == name) return b.at("items_per_second").as_double();
  return std::nullopt;
}

std::string text_of(const Settings& s, const JobResult& result, const Peaks& peaks,
                    std::optional<double> before) {
  std::string text = to_string(result.timing, before) + "\n";
  if (s.memory_report) text += to_string(result.timing.memory);
  if (result.layers) text += to_string(*result.layers, peaks);
  return text;
}

Json json_of(const JobResult& result, const Peaks& peaks) {
  Json j = to_json(result.timing);
  if (result.layers) j.set("layers", to_json(*result.layers, peaks));
  return j;
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_bench",
                  "Times training steps, inference and calibration on random pictures.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  if (s.peak && !options.given("--jobs")) s.jobs.clear();
  for (const std::string& job : s.jobs) check_job(job);
  autograd::set_grad_precision(grad_precision_of(s.grad_precision));
  if (s.threads > 0) set_num_threads(s.threads);
  if (s.pin) pin_threads();
  Json earlier;
  if (!s.compare.empty())
    earlier = parse_json(read_file(s.compare, 16 << 20, FileUse::data), s.compare);
  const bool text = !options.json() && !options.quiet();
  Peaks peaks;
  if (s.peak || s.job.layers) peaks = measure_peaks();
  if (s.peak && text) std::cout << to_string(peaks) << std::flush;
  Json list = Json::array();
  for (const std::string& job : s.jobs) {
    const JobResult result = run_job(s.job, job);
    release_cached_memory();
    list.push_back(json_of(result, peaks));
    if (text)
      std::cout << text_of(s, result, peaks, rate_before(earlier, result.timing.name))
                << std::flush;
  }
  if (options.json()) {
    Json report = Json::object();
    report.set("context", environment());
    if (s.peak || s.job.layers) report.set("peaks", to_json(peaks));
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
