// Batches of a data set, prepared ahead by several threads.
//
// Order and pixels are functions of the seed, the epoch and the data set alone: any number of
// workers gives the same batches, and an epoch begun at batch k gives the batches that a whole
// epoch gives from k on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/pixels.h"
#include "data/dataset.h"
#include "data/transforms.h"

namespace stair::data {

struct Batch {
  Pixels images;      // [N,H,W,3], as the transform normalizes them
  Tensor labels;      // s64 [N]
  int64_t index = 0;  // of the batch in its epoch
  int64_t first = 0;  // place in the epoch's order of the first sample
  std::vector<int64_t>
      samples;  // indices in the data set; that of the replacement where a sample was bad
};

// As many bad samples as a training run passes over by default: a thousandth of the data set, but
// at least ten.
inline constexpr int64_t kAutoBadSamples = -1;

struct LoaderOptions {
  int64_t batch_size = 32;
  bool shuffle = false;
  bool drop_last = false;   // leave out the last batch when it is smaller
  int64_t max_batches = 0;  // of an epoch; 0: all
  uint64_t seed = 42;
  int workers = 2;           // threads; 0: the calling thread does the work
  int prefetch_batches = 4;  // prepared ahead at most
  // A bad sample is replaced by another, the same in every run, while at most this many different
  // ones were met.
  int64_t max_bad_samples = 0;
  double timeout_s = 300.0;  // wait for a batch this long, then give the workers up
};

// What was tolerated so far. Counts what `Loader::next` delivered, so it does not depend on the
// number of workers.
struct LoaderSummary {
  int64_t skipped_files = 0;           // by suffix, when the data set was scanned
  int64_t damaged = 0;                 // pictures used although some of their data was damaged
  std::map<int64_t, std::string> bad;  // samples that were replaced, and why
};

class Loader {
 public:
  // Throws ConfigError for options out of range, DataError when no batch would result.
  Loader(std::shared_ptr<const Dataset> dataset, const TransformOptions& transform,
         const LoaderOptions& options);
  // Waits for the threads to end their current pictures.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  // Batches of an epoch.
  int64_t batches() const;
  // Goes to batch `first_batch` of an epoch. A loader starts at epoch 0.
  void start_epoch(int64_t epoch, int64_t first_batch = 0);
  // The next batch of the epoch, nothing after the last. Throws DataError when there are more bad
  // samples than `max_bad_samples`, or when no batch came for `timeout_s`; errors of a worker reach
  // the caller at their batch's turn.
  std::optional<Batch> next();

  const LoaderSummary& summary() const { return summary_; }
  const LoaderOptions& options() const { return options_; }
  const Dataset& dataset() const { return *dataset_; }

 private:
  struct Shared;
  struct Filled;

  std::shared_ptr<Filled> take();
  void count(const Filled& filled);

  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
  LoaderSummary summary_;
  std::shared_ptr<Shared> shared_;
};

// The order in which an epoch visits `size` samples: 0, 1, 2, ... or a permutation drawn from seed
// and epoch.
std::vector<int64_t> epoch_order(int64_t size, bool shuffle, uint64_t seed, int64_t epoch);

}  // namespace stair::data
