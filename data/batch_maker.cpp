#include "data/batch_maker.h"

#include <algorithm>

#include "core/text.h"

namespace stair::data {
namespace {

constexpr uint64_t kReplacement = 0x7265706C61;
constexpr int kAttempts = 20;
constexpr size_t kLongestPath = 4096;

// Another sample in the place of a bad one: a function of seed, epoch, sample and attempt.
int64_t replacement(uint64_t seed, int64_t epoch, int64_t sample, int attempt, int64_t size) {
  const auto key =
      philox(seed, static_cast<uint64_t>(epoch), kReplacement + static_cast<uint64_t>(attempt));
  Random random(uint64_t{key[1]} << 32 | key[0], static_cast<uint64_t>(sample));
  return static_cast<int64_t>(random.below(static_cast<uint64_t>(size)));
}

}  // namespace

Batch BatchMaker::prepare(const std::vector<int64_t>& order, int64_t index) const {
  const MemoryScope memory(MemoryKind::loader);
  Batch batch;
  batch.index = index;
  batch.first = index * options_.batch_size;
  const int64_t last =
      std::min(batch.first + options_.batch_size, static_cast<int64_t>(order.size()));
  batch.samples.assign(order.begin() + batch.first, order.begin() + last);
  const int64_t count = last - batch.first, side = transform_.size();
  batch.images = {Tensor::empty({count, side, side, 3}, DType::u8), transform_.values()};
  batch.labels = Tensor::empty({count}, DType::s64);
  return batch;
}

void BatchMaker::transform(const Part& part, int64_t sample, Random& random, uint8_t* out) const {
  try {
    transform_.apply(part.image.view(), part.crop, random, out);
  } catch (const BadSample& error) {
    throw BadSample(str("'", printable(dataset_->name(sample), kLongestPath), "': ", error.what()),
                    error.hint());
  }
}

void BatchMaker::fill(Batch& batch, int64_t row, int64_t epoch,
                      const std::function<void(int64_t)>& loading, Mishaps& mishaps) const {
  int64_t& sample = batch.samples[static_cast<size_t>(row)];
  const int64_t wanted = sample, side = transform_.size();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    loading(sample);
    try {
      Random random = augmentation_random(options_.seed, epoch, sample);
      const Part part = dataset_->load_part(
          sample, [&](int width, int height) { return transform_.choose(width, height, random); });
      transform(part, sample, random, batch.images.bytes.data<uint8_t>() + row * side * side * 3);
      batch.labels.data<int64_t>()[row] = dataset_->label(sample);
      mishaps.damaged += part.image.damaged() ? 1 : 0;
      return;
    } catch (const BadSample& error) {
      mishaps.bad.push_back({sample, error.what(), error.hint()});
      // Evaluation replaces nothing: the error is raised when the batch is delivered.
      if (options_.max_bad_samples == 0) return;
      sample = replacement(options_.seed, epoch, wanted, attempt, dataset_->size());
    }
  }
  throw DataError(str("data: ", kAttempts,
                      " samples in a row could not be used; the last: ", mishaps.bad.back().reason),
                  mishaps.bad.back().hint);
}

}  // namespace stair::data
