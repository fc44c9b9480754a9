#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

TransformOptions training() {
  TransformOptions options;
  options.crop = CropKind::random_resized_crop;
  options.random_resized_crop.size = 16;
  options.hflip = 0.5F;
  return options;
}

// A folder of 3 classes and 26 pictures.
class Loading : public testing::Test {
 protected:
  Loading() {
    folder_.add_pictures("a", 11);
    folder_.add_pictures("b", 7, 40, 33);
    folder_.add_pictures("c", 8, 18, 50);
    dataset_ = std::make_shared<FolderDataset>(folder_.path());
  }

  std::vector<Batch> epoch(const LoaderOptions& options, int64_t number = 0,
                           int64_t first = 0) const {
    Loader loader(dataset_, training(), options);
    loader.start_epoch(number, first);
    return rest_of(loader);
  }

  static std::vector<Batch> rest_of(Loader& loader) {
    std::vector<Batch> batches;
    while (auto batch = loader.next()) batches.push_back(std::move(*batch));
    return batches;
  }

  static void expect_equal(const std::vector<Batch>& a, const std::vector<Batch>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].index, b[i].index);
      EXPECT_EQ(a[i].first, b[i].first);
      ASSERT_EQ(a[i].samples, b[i].samples);
      ASSERT_EQ(a[i].images.bytes.shape(), b[i].images.bytes.shape());
      EXPECT_EQ(
          std::memcmp(a[i].images.bytes.raw(), b[i].images.bytes.raw(), a[i].images.bytes.bytes()),
          0)
          << "batch " << i;
      EXPECT_EQ(std::memcmp(a[i].labels.raw(), b[i].labels.raw(), a[i].labels.bytes()), 0)
          << "batch " << i;
    }
  }

  PictureFolder folder_;
  std::shared_ptr<FolderDataset> dataset_;
};

using LoaderBatches = Loading;

}  // namespace

TEST_F(LoaderBatches, AnyNumberOfWorkersGivesTheSameBatches) {
  LoaderOptions options{.batch_size = 6, .shuffle = true, .workers = 0};
  const std::vector<Batch> expected = epoch(options, 3);
  ASSERT_EQ(expected.size(), 5U);
  for (const int workers : {1, 2, 4}) {
    options.workers = workers;
    options.prefetch_batches = workers;
    expect_equal(epoch(options, 3), expected);
  }
}

TEST_F(LoaderBatches, EpochVisitsEverySampleOnceWithItsLabel) {
  std::multiset<int64_t> seen;
  for (const Batch& batch : epoch({.batch_size = 4, .shuffle = true}))
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      seen.insert(batch.samples[i]);
      EXPECT_EQ(batch.labels.data<int64_t>()[i], dataset_->label(batch.samples[i]));
    }
  EXPECT_EQ(seen.size(), 26U);
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 26U);
}

TEST_F(LoaderBatches, StartingAtABatchContinuesTheEpoch) {
  for (const int workers : {0, 2}) {
    const LoaderOptions options{.batch_size = 5, .shuffle = true, .workers = workers};
    std::vector<Batch> whole = epoch(options, 2);
    whole.erase(whole.begin(), whole.begin() + 3);
    expect_equal(epoch(options, 2, 3), whole);
  }
}

TEST_F(LoaderBatches, EpochsDifferInOrderAndPixelsAndSeedsDoToo) {
  const LoaderOptions options{.batch_size = 26, .shuffle = true};
  const std::vector<Batch> first = epoch(options, 0), second = epoch(options, 1);
  EXPECT_NE(first[0].samples, second[0].samples);
  LoaderOptions other = options;
  other.seed = 43;
  EXPECT_NE(first[0].samples, epoch(other, 0)[0].samples);
  const LoaderOptions ordered{.batch_size = 26};
  EXPECT_NE(std::memcmp(epoch(ordered, 0)[0].images.bytes.raw(),
                        epoch(ordered, 1)[0].images.bytes.raw(), 26 * 16 * 16 * 3),
            0);
}

TEST_F(LoaderBatches, OneLoaderRunsEpochAfterEpochAndAbandonsOneMidway) {
  const LoaderOptions options{.batch_size = 4, .shuffle = true, .workers = 3};
  Loader loader(dataset_, training(), options);
  loader.next();
  loader.start_epoch(5);
  expect_equal(rest_of(loader), epoch(options, 5));
  EXPECT_FALSE(loader.next());
  loader.start_epoch(6, loader.batches());
  EXPECT_FALSE(loader.next());
  loader.start_epoch(7, 2);
  expect_equal(rest_of(loader), epoch(options, 7, 2));
}

TEST_F(LoaderBatches, LastBatchIsSmallerOrDroppedAndBatchesAreLimited) {
  EXPECT_EQ(epoch({.batch_size = 10}).back().images.bytes.shape(), (Shape{6, 16, 16, 3}));
  EXPECT_EQ(epoch({.batch_size = 10, .drop_last = true}).size(), 2U);
  EXPECT_EQ(epoch({.batch_size = 10, .max_batches = 1}).size(), 1U);
  EXPECT_EQ(epoch({.batch_size = 10, .max_batches = 99}).size(), 3U);
  EXPECT_EQ(epoch({.batch_size = 10})[2].first, 20);
}

TEST_F(LoaderBatches, ImagesAreThoseOfTheTransform) {
  const Transform transform(training());
  for (const Batch& batch : epoch({.batch_size = 26, .seed = 9}, 4)) {
    for (int64_t i = 0; i < 26; ++i) {
      Random random = augmentation_random(9, 4, i);
      std::vector<uint8_t> expected(16 * 16 * 3);
      transform.apply(dataset_->load(i).view(), random, expected.data());
      EXPECT_EQ(std::memcmp(batch.images.bytes.data<uint8_t>() + i * 768, expected.data(), 768), 0)
          << i;
    }
  }
}

TEST_F(LoaderBatches, BatchesOutliveTheLoader) {
  Batch batch;
  {
    Loader loader(dataset_, training(), {.batch_size = 26});
    batch = *loader.next();
  }
  EXPECT_EQ(batch.labels.data<int64_t>()[25], 2);
}

TEST(EpochOrder, ShuffleIsAPermutationAndNoShuffleIsTheIdentity) {
  std::vector<int64_t> order = epoch_order(1000, true, 1, 2);
  EXPECT_EQ(order, epoch_order(1000, true, 1, 2));
  std::sort(order.begin(), order.end());
  EXPECT_EQ(order, epoch_order(1000, false, 1, 2));
}

}  // namespace stair::data
