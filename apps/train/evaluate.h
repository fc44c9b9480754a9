// Scores of networks on a data set.
#pragma once

#include <functional>
#include <vector>

#include "data/loader.h"

namespace stair::apps {

// Pictures [N,H,W,3] f32 -> logits [N,classes] f32.
using Network = std::function<Tensor(const Tensor& images)>;

struct Score {
  int64_t images = 0, top1_hits = 0, top5_hits = 0;
  double loss = 0;     // mean cross-entropy
  double seconds = 0;  // spent in the network
  double top1() const {
    return images == 0 ? 0 : 100.0 * static_cast<double>(top1_hits) / static_cast<double>(images);
  }
  double top5() const {
    return images == 0 ? 0 : 100.0 * static_cast<double>(top5_hits) / static_cast<double>(images);
  }
  double images_per_second() const {
    return seconds > 0 ? static_cast<double>(images) / seconds : 0;
  }
  std::vector<int32_t> predictions;  // class by picture
  Tensor logits, labels;             // all of them, when asked for
};

struct EvaluateOptions {
  bool keep_logits = false;
  // Called after each batch with the pictures done so far; returning false ends the evaluation
  // early.
  std::function<bool(int64_t done)> progress;
};

// Runs every network on the same batches. Of equal logits the first class counts as the larger one.
// Throws NumericsError naming the sample when a logit is not finite, DataError for labels outside
// the classes.
std::vector<Score> evaluate(const std::vector<Network>& networks, data::Loader& loader,
                            const EvaluateOptions& options = {});

}  // namespace stair::apps
