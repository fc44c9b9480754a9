// Rows D11, D18, D19, D23 and D24 of the fault table, and the policy for bad samples.
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "data/loader.h"
#include "tests/data/picture_folder.h"

namespace stair::data {
namespace {

TransformOptions small_crops() {
  TransformOptions options;
  options.crop = CropKind::random_crop;
  options.random_crop = {8, 0};
  return options;
}

// Pictures without files; `load` may be replaced by something that goes wrong.
class StubDataset : public Dataset {
 public:
  StubDataset(int64_t size, std::function<Image(int64_t)> load)
      : size_(size), load_(std::move(load)) {}
  int64_t size() const override { return size_; }
  int64_t label(int64_t index) const override { return index % 2; }
  std::string name(int64_t index) const override { return str("sample", index); }
  Image load(int64_t index) const override { return load_(index); }
  const std::vector<std::string>& class_names() const override { return names_; }

 private:
  int64_t size_;
  std::function<Image(int64_t)> load_;
  std::vector<std::string> names_ = {"even", "odd"};
};

std::shared_ptr<StubDataset> with_bad(int64_t size, const std::vector<int64_t>& bad) {
  return std::make_shared<StubDataset>(size, [bad](int64_t i) {
    if (std::find(bad.begin(), bad.end(), i) != bad.end())
      throw BadSample(str("'sample", i, "': truncated"));
    return wave_image(10, 10, static_cast<int>(i));
  });
}

std::vector<Batch> all(Loader& loader) {
  std::vector<Batch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

}  // namespace

TEST(LoaderFault, EvaluationStopsAtABadSampleAndNamesIt) {
  for (const int workers : {0, 1, 3}) {
    Loader loader(with_bad(20, {13}), small_crops(), {.batch_size = 4, .workers = workers});
    EXPECT_EQ(error_of<DataError>([&] { all(loader); }),
              "bad sample 'sample13': truncated | --on-bad-sample skip replaces it");
    EXPECT_EQ(loader.summary().bad.size(), 1U);
  }
}

TEST(LoaderFault, TrainingReplacesBadSamplesTheSameWayInEveryRun) {
  std::vector<std::vector<int64_t>> runs;
  for (const int workers : {0, 1, 4}) {
    Loader loader(
        with_bad(40, {3, 17, 18}), small_crops(),
        {.batch_size = 8, .shuffle = true, .workers = workers, .max_bad_samples = kAutoBadSamples});
    runs.emplace_back();
    for (const Batch& batch : all(loader))
      runs.back().insert(runs.back().end(), batch.samples.begin(), batch.samples.end());
    EXPECT_EQ(runs.back(), runs.front());
    EXPECT_EQ(runs.back().size(), 40U);
    for (const int64_t sample : runs.back())
      EXPECT_TRUE(sample != 3 && sample != 17 && sample != 18);
    EXPECT_EQ(loader.summary().bad.size(), 3U);
    EXPECT_EQ(loader.summary().bad.at(17), "'sample17': truncated");
  }
}

TEST(LoaderFault, BadSamplesCountOnceHoweverOftenTheyAreMet) {
  Loader loader(with_bad(8, {1}), small_crops(), {.batch_size = 8, .max_bad_samples = 1});
  for (int epoch = 0; epoch < 5; ++epoch) {
    loader.start_epoch(epoch);
    EXPECT_EQ(all(loader).size(), 1U);
  }
  EXPECT_EQ(loader.summary().bad.size(), 1U);
}

TEST(LoaderFault, D19TooManyBadSamplesStopWithTheirNames) {
  std::vector<int64_t> bad;
  for (int64_t i = 0; i < 30; ++i) bad.push_back(i);
  for (const int workers : {0, 3}) {
    Loader loader(with_bad(200, bad), small_crops(),
                  {.batch_size = 25, .workers = workers, .max_bad_samples = kAutoBadSamples});
    const std::string refused = error_of<DataError>([&] { all(loader); });
    EXPECT_EQ(refused.find("more than 10 bad samples:\n  'sample0': truncated\n  'sample1'"), 0U)
        << refused;
    EXPECT_NE(refused.find("--max-bad-samples"), std::string::npos);
    EXPECT_EQ(loader.summary().bad.size(), 11U);
  }
}

TEST(LoaderFault, AutomaticLimitIsAThousandthOfALargeSet) {
  Loader loader(with_bad(20'000, {}), small_crops(),
                {.batch_size = 2, .workers = 0, .max_bad_samples = kAutoBadSamples});
  EXPECT_EQ(loader.options().max_bad_samples, 20);
}

TEST(LoaderFault, NothingButBadSamplesStops) {
  const auto dataset =
      std::make_shared<StubDataset>(5, [](int64_t) -> Image { throw BadSample("unreadable"); });
  Loader loader(dataset, small_crops(), {.batch_size = 2, .max_bad_samples = 100});
  EXPECT_NE(error_of<DataError>([&] { all(loader); }).find("20 samples in a row could not be used"),
            std::string::npos);
}

TEST(LoaderFault, PictureTooSmallForTheCropIsABadSampleWithItsName) {
  const auto dataset =
      std::make_shared<StubDataset>(2, [](int64_t i) { return wave_image(i == 1 ? 5 : 9, 9, 0); });
  Loader loader(dataset, small_crops(), {.batch_size = 2});
  EXPECT_NE(error_of<DataError>([&] {
              all(loader);
            }).find("'sample1': 5x9 pixels are too few for a crop of 8"),
            std::string::npos);
}

TEST(LoaderFault, DamagedPicturesAreCounted) {
  const auto dataset = std::make_shared<StubDataset>(9, [](int64_t i) {
    Image image = wave_image(9, 9, 0);
    if (i % 3 == 0) image.set_damaged();
    return image;
  });
  Loader loader(dataset, small_crops(), {.batch_size = 2});
  all(loader);
  EXPECT_EQ(loader.summary().damaged, 3);
}

TEST(LoaderFault, D23ErrorOfAWorkerReachesTheCallerAtItsBatch) {
  for (const int workers : {0, 2}) {
    const auto dataset = std::make_shared<StubDataset>(30, [](int64_t i) {
      if (i == 11) throw std::logic_error("broken reader");
      return wave_image(9, 9, 0);
    });
    Loader loader(dataset, small_crops(), {.batch_size = 5, .workers = workers});
    EXPECT_EQ(loader.next()->index, 0);
    EXPECT_EQ(loader.next()->index, 1);
    EXPECT_THROW(loader.next(), std::logic_error);
  }
}

TEST(LoaderFault, D23DestructionJoinsWorkersThatAreBusy) {
  Loader loader(with_bad(10'000, {}), small_crops(), {.batch_size = 50, .workers = 4});
  loader.next();
}

TEST(LoaderFault, D24SilentStorageIsGivenUpWithTheFileThatItHolds) {
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
    int waiting = 0;
  };
  const auto gate = std::make_shared<Gate>();
  const auto dataset = std::make_shared<StubDataset>(8, [gate](int64_t i) {
    std::unique_lock lock(gate->mutex);
    if (i == 2) {
      ++gate->waiting;
      gate->opened.wait(lock, [&] { return gate->open; });
      --gate->waiting;
      gate->opened.notify_all();
    }
    return wave_image(9, 9, 0);
  });
  {
    Loader loader(dataset, small_crops(), {.batch_size = 4, .workers = 2, .timeout_s = 0.3});
    const std::string refused = error_of<DataError>([&] { loader.next(); });
    EXPECT_NE(refused.find("no batch for 0.3 s"), std::string::npos) << refused;
    EXPECT_NE(refused.find("reads 'sample2'"), std::string::npos) << refused;
  }
  // The worker that was given up still waits; let it end before the test does.
  std::unique_lock lock(gate->mutex);
  EXPECT_EQ(gate->waiting, 1);
  gate->open = true;
  gate->opened.notify_all();
  gate->opened.wait(lock, [&] { return gate->waiting == 0; });
}

TEST(LoaderFault, OptionsOutOfRangeAreNamed) {
  const auto dataset = with_bad(10, {});
  const auto refused = [&](const LoaderOptions& options) {
    return error_of<ConfigError>([&] { Loader(dataset, small_crops(), options); });
  };
  EXPECT_EQ(refused({.batch_size = 0}), "loader: batch size 0, expected 1 to 1048576 | ");
  EXPECT_NE(refused({.workers = -1}).find("workers -1"), std::string::npos);
  EXPECT_NE(refused({.prefetch_batches = 0}), "");
  EXPECT_NE(refused({.max_bad_samples = -2}), "");
  EXPECT_NE(refused({.timeout_s = 0}), "");
  Loader loader(dataset, small_crops(), {.batch_size = 5});
  EXPECT_THROW(loader.start_epoch(0, 3), ConfigError);
}

TEST(LoaderFault, DataSetWithoutABatchIsRefused) {
  EXPECT_NE(error_of<DataError>([&] {
              Loader(with_bad(3, {}), small_crops(), {.batch_size = 4, .drop_last = true});
            }).find("3 samples give no batch of 4"),
            std::string::npos);
  EXPECT_THROW(Loader(with_bad(0, {}), small_crops(), {}), DataError);
}

}  // namespace stair::data
