#include "apps/train/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/text.h"

namespace stair::apps {
namespace {

// Place of the label when the logits are sorted from the largest, and the cross-entropy.
void score_row(const float* logits, int64_t classes, int64_t label, Score& score) {
  float largest = logits[0];
  int64_t best = 0, rank = 0;
  for (int64_t c = 0; c < classes; ++c) {
    if (logits[c] > largest) {
      largest = logits[c];
      best = c;
    }
    if (logits[c] > logits[label] || (logits[c] == logits[label] && c < label)) ++rank;
  }
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - largest);
  score.loss += std::log(sum) + largest - logits[label];
  score.top1_hits += rank < 1 ? 1 : 0;
  score.top5_hits += rank < 5 ? 1 : 0;
  score.predictions.push_back(static_cast<int32_t>(best));
  ++score.images;
}

void score_batch(const Tensor& logits, const data::Batch& batch, const data::Dataset& dataset,
                 Score& score) {
  const int64_t classes = logits.size(1);
  for (int64_t i = 0; i < logits.size(0); ++i) {
    const float* row = logits.data<float>() + i * classes;
    const int64_t label = batch.labels.data<int64_t>()[i];
    const auto sample = [&] {
      return printable(dataset.name(batch.samples[static_cast<size_t>(i)]));
    };
    if (label < 0 || label >= classes)
      throw DataError(str("evaluate: label ", label, " of '", sample(), "' is outside the ",
                          classes, " outputs"));
    if (!std::all_of(row, row + classes, [](float v) { return std::isfinite(v); }))
      throw NumericsError(str("evaluate: a logit of '", sample(), "' is not finite"),
                          "the network has diverged or its weights are damaged: lower --lr");
    score_row(row, classes, label, score);
  }
}

}  // namespace

std::vector<Score> evaluate(const std::vector<Network>& networks, data::Loader& loader,
                            const EvaluateOptions& options) {
  std::vector<Score> scores(networks.size());
  std::vector<std::vector<Tensor>> kept(networks.size());
  std::vector<Tensor> labels;
  loader.start_epoch(0);
  while (const auto batch = loader.next()) {
    const Tensor pictures = batch->images.reals();
    for (size_t i = 0; i < networks.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      const Tensor logits = networks[i](pictures);
      scores[i].seconds +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      score_batch(logits, *batch, loader.dataset(), scores[i]);
      if (options.keep_logits) kept[i].push_back(logits);
    }
    if (options.keep_logits) labels.push_back(batch->labels);
    if (options.progress && !options.progress(scores[0].images)) break;
  }
  const auto join = [](const std::vector<Tensor>& parts) {
    if (parts.empty()) return Tensor();
    std::vector<int64_t> dims = parts[0].shape().dims();
    dims[0] = 0;
    for (const Tensor& part : parts) dims[0] += part.size(0);
    Tensor all = Tensor::empty(Shape(dims), parts[0].dtype());
    std::byte* to = all.raw();
    for (const Tensor& part : parts) {
      std::memcpy(to, part.raw(), part.bytes());
      to += part.bytes();
    }
    return all;
  };
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].images > 0) scores[i].loss /= static_cast<double>(scores[i].images);
    scores[i].logits = join(kept[i]);
    if (options.keep_logits) scores[i].labels = join(labels);
  }
  return scores;
}

}  // namespace stair::apps
