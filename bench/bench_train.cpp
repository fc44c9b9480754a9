// Time of a training step on random pictures: float, or quantization-aware.
//   bench_train [--model resnet18] [--batch 32] [--size 224] [--mode float|qat] [--reps 5]
//   [--warmup 2] [--threads N]
// Prints the median, least and most seconds a step, pictures a second, the peak memory of tensors,
// and the process's high-water mark at its start and end.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>

#include "autograd/ops/cross_entropy.h"
#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "nn/optimizer.h"
#include "qat/prepare.h"

namespace stair {
namespace {

struct Job {
  std::string model = "resnet18", mode = "float";
  int64_t batch = 32, size = 224, reps = 5, warmup = 2, threads = 0;
};

Job parse(int argc, char** argv) {
  Job job;
  std::map<std::string, int64_t*> numbers = {{"--batch", &job.batch},
                                             {"--size", &job.size},
                                             {"--reps", &job.reps},
                                             {"--warmup", &job.warmup},
                                             {"--threads", &job.threads}};
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--model")
      job.model = value;
    else if (flag == "--mode")
      job.mode = value;
    else if (numbers.count(flag) > 0)
      *numbers[flag] = std::stoll(value);
    else
      throw ConfigError(str("bench_train: unknown flag ", flag));
  }
  if (job.mode != "float" && job.mode != "qat")
    throw ConfigError("bench_train: --mode float or qat");
  return job;
}

Tensor pictures(const Job& job) {
  Tensor x = Tensor::empty({job.batch, job.size, job.size, 3}, DType::f32);
  Random random(1);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return x;
}

// High-water mark of the process.
int64_t peak_rss_mb() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1000;
}

void run(const Job& job) {
  const int64_t base = peak_rss_mb();
  if (job.threads > 0) set_num_threads(static_cast<int>(job.threads));
  nn::ModelOptions options;
  const auto built = nn::find_model(job.model).build(options);
  const Tensor x = pictures(job);
  const nn::Graph graph = nn::capture(*built, autograd::Variable(x.slice(0, 1)));
  nn::GraphModule model(job.mode == "qat" ? qat::prepare_qat(graph, qat::x86_config()).graph
                                          : graph);
  autograd::SgdOptions sgd;
  sgd.momentum = 0.9;
  nn::Sgd optimizer(nn::decay_groups(model.named_parameters(), 1e-4), sgd);
  Tensor labels = Tensor::empty({job.batch}, DType::s64);
  for (int64_t i = 0; i < job.batch; ++i) labels.data<int64_t>()[i] = i % 10;
  std::vector<double> seconds;
  for (int64_t i = 0; i < job.warmup + job.reps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    autograd::cross_entropy(model(autograd::Variable(x)), labels, {}).backward();
    optimizer.step(1e-3);
    optimizer.zero_grad();
    const double took =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (i >= job.warmup) seconds.push_back(took);
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  std::cout << "{\"peer\":\"stair\",\"model\":\"" << job.model << "\",\"mode\":\"" << job.mode
            << "\",\"batch\":" << job.batch << ",\"size\":" << job.size << ",\"isa\":\""
            << active_isa() << "\",\"threads\":" << num_threads() << ",\"median_s\":" << median
            << ",\"min_s\":" << seconds.front() << ",\"max_s\":" << seconds.back()
            << ",\"images_per_second\":" << static_cast<double>(job.batch) / median
            << ",\"peak_tensor_mb\":" << memory_stats().peak_bytes / 1000000
            << ",\"base_rss_mb\":" << base << ",\"peak_rss_mb\":" << peak_rss_mb() << "}\n";
}

}  // namespace
}  // namespace stair

int main(int argc, char** argv) {
  try {
    stair::run(stair::parse(argc, argv));
    return 0;
  } catch (const stair::Error& error) {
    std::cerr << "error: " << error.what() << "\n";
    return error.exit_code();
  }
}
