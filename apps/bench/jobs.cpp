#include "apps/bench/jobs.h"

#include <algorithm>
#include <array>

#include "apps/train/network.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/recompute.h"
#include "core/parallel.h"
#include "core/text.h"
#include "nn/model.h"
#include "nn/optimizer.h"
#include "qat/convert.h"
#include "qat/presets.h"
#include "qat/ptq/calibrate.h"

namespace stair::apps {
namespace {

// Calls under a profile: a mean of few is enough beside the medians of the timed calls.
constexpr int64_t kProfiledCalls = 3;

// Bytes as the loader gives them, normalized to about the distribution of photographs.
Pixels pictures(int64_t batch, int64_t size) {
  const MemoryScope memory(MemoryKind::loader);
  constexpr std::array<float, 3> kMean = {0.5F, 0.5F, 0.5F}, kStd = {0.25F, 0.25F, 0.25F};
  Pixels x{Tensor::empty({batch, size, size, 3}, DType::u8), values_of_bytes(kMean, kStd)};
  Random random(1, 0);
  for (int64_t i = 0; i < x.bytes.numel(); ++i)
    x.bytes.data<uint8_t>()[i] =
        static_cast<uint8_t>(std::clamp(127.5F + 64.0F * random.normal(), 0.0F, 255.0F));
  return x;
}

JobResult measured(const JobSettings& s, const std::vector<LayerWork>& work,
                   const std::function<void()>& call) {
  JobResult result{timed(s.timing, call), std::nullopt};
  result.timing.images = s.batch;
  if (s.layers) result.layers = time_layers(work, kProfiledCalls, call);
  return result;
}

JobResult time_training(const JobSettings& s, nn::GraphModule& model, const Pixels& x) {
  autograd::SgdOptions sgd;
  sgd.momentum = 0.9;
  nn::Sgd optimizer(nn::decay_groups(model.named_parameters(), 1e-4), sgd);
  Tensor labels = Tensor::empty({s.batch}, DType::s64);
  for (int64_t i = 0; i < s.batch; ++i) labels.data<int64_t>()[i] = i % 10;
  model.train();
  return measured(s, work_of(model.graph(), s.batch), [&] {
    const autograd::Recompute recompute(s.recompute);
    autograd::cross_entropy(model(autograd::Variable(autograd::Deferred(x))), labels, {})
        .backward();
    optimizer.step(1e-3);
    optimizer.zero_grad();
  });
}

// Histograms of all activations of the network with its batch norms folded, as qat_ptq takes them.
JobResult time_calibration(const JobSettings& s, const nn::GraphModule& model, const Tensor& x) {
  const nn::Graph folded = qat::fold_batch_norm(model.graph());
  nn::GraphModule prepared(qat::prepare_qat(folded, qat::find_preset("x86").config).graph);
  return measured(s, work_of(folded, s.batch),
                  [&] { qat::calibrate(prepared, [&x](const auto& show) { show(x); }); });
}

JobResult time_job(const JobSettings& s, const std::string& job) {
  TrainConfig config;
  config.model.model = s.model;
  config.quantizer = s.quantizer;
  const int64_t size = s.size > 0 ? s.size : nn::find_model(s.model).input_size;
  const int64_t classes = size <= 32 ? 10 : 1000;
  const auto graph = build_float(config.model, classes, static_cast<int>(size), 1);
  const Pixels pixels = pictures(s.batch, size);
  if (job == "train_float") return time_training(s, *graph, pixels);
  if (job == "train_qat") return time_training(s, *build_qat(*graph, config).graph, pixels);
  const Tensor x = pixels.reals();
  if (job == "infer_float") {
    const Network network = network_of(*graph);
    return measured(s, work_of(graph->graph(), s.batch), [&] { (void)network(x); });
  }
  if (job == "calibrate") return time_calibration(s, *graph, x);
  const auto qat = build_qat(*graph, config).graph;
  {
    const autograd::NoGrad no_grad;
    (void)(*qat)(autograd::Variable(pictures(2, size).reals()));  // gives every quantizer its range
  }
  qat::Int8Session session(qat::convert(qat->graph()));
  return measured(s, work_of(session.graph(), x.shape()), [&] { (void)session.run(x); });
}

}  // namespace

const std::vector<std::string>& job_names() {
  static const std::vector<std::string> names = {"train_float", "train_qat", "infer_float",
                                                 "infer_int8", "calibrate"};
  return names;
}

void check_job(const std::string& job) {
  const std::vector<std::string>& names = job_names();
  if (std::find(names.begin(), names.end(), job) == names.end())
    throw ConfigError(
        str("--jobs: there is no job '", job, "'"),
        str("did you mean '", nearest(job, names), "'? there are ", join(names, ", ")));
}

JobResult run_job(const JobSettings& s, const std::string& job) {
  check_job(job);
  const size_t base = resident_now();
  JobResult result = time_job(s, job);
  result.timing.base_rss = base;
  result.timing.name = str(s.model, '/', job, "/batch:", s.batch, "/threads:", num_threads());
  return result;
}

}  // namespace stair::apps
