#include "data/loader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <system_error>
#include <thread>

#include "core/text.h"
#include "data/batch_maker.h"

namespace stair::data {
namespace {

constexpr uint64_t kShuffle = 0x73687566;
// Samples that a worker takes at a time: few enough that all work on one batch, enough that taking
// them costs nothing.
constexpr int64_t kChunk = 4;
constexpr size_t kMostNamed = 20;
constexpr size_t kLongestPath = 4096;

void check(const LoaderOptions& o) {
  const auto range = [](const char* what, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw ConfigError(str("loader: ", what, " ", value, ", expected ", low, " to ", high));
  };
  range("batch size", o.batch_size, 1, int64_t{1} << 20);
  range("workers", o.workers, 0, 1024);
  range("batches prepared ahead", o.prefetch_batches, 1, 1024);
  range("batch limit", o.max_batches, 0, int64_t{1} << 40);
  range("bad sample limit", o.max_bad_samples, kAutoBadSamples, int64_t{1} << 40);
  if (!(o.timeout_s > 0 && o.timeout_s <= 1e8))
    throw ConfigError(str("loader: timeout ", o.timeout_s, " s, expected 0 < s <= 1e8"));
}

int64_t count_batches(int64_t size, const LoaderOptions& o) {
  const int64_t all = o.drop_last ? size / o.batch_size : (size + o.batch_size - 1) / o.batch_size;
  return o.max_batches > 0 ? std::min(all, o.max_batches) : all;
}

}  // namespace

// A batch on its way. Workers write disjoint rows of it; the rest is guarded by the mutex of
// Shared.
struct Loader::Filled {
  Batch batch;
  int64_t epoch = 0;
  int64_t next_row = 0;
  int64_t rows_left = 0;
  std::map<int64_t, Mishaps> mishaps;            // by row
  std::map<int64_t, std::exception_ptr> errors;  // by row

  int64_t rows() const { return static_cast<int64_t>(batch.samples.size()); }
};

// What the workers share with the loader. It outlives the loader when workers had to be given up.
struct Loader::Shared {
  Shared(std::shared_ptr<const Dataset> dataset, const TransformOptions& transform,
         const LoaderOptions& options)
      : maker(std::move(dataset), transform, options),
        last_batch(count_batches(maker.dataset().size(), options)),
        loading(static_cast<size_t>(options.workers)) {
    for (std::atomic<int64_t>& sample : loading) sample = -1;
  }

  void work(int worker);
  void join();
  bool can_claim() const;
  void make_rows(Filled& filled, int64_t begin, int64_t end, int worker);
  void add_batch();
  std::string where_workers_are() const;

  const BatchMaker maker;
  const int64_t last_batch;
  std::vector<std::atomic<int64_t>> loading;  // sample that each worker reads now, -1: none
  std::vector<std::thread> threads;

  std::mutex mutex;
  std::condition_variable work_there, batch_there;
  bool stop = false;
  std::vector<int64_t> order;
  int64_t epoch = 0;
  int64_t next_batch = 0;                     // the next to be queued
  std::deque<std::shared_ptr<Filled>> queue;  // in order; the first is the next to be delivered
};

// Whether there is a row to make: in a queued batch, or in one that may still be queued.
bool Loader::Shared::can_claim() const {
  if (!queue.empty() && queue.back()->next_row < queue.back()->rows()) return true;
  return next_batch < last_batch &&
         queue.size() < static_cast<size_t>(maker.options().prefetch_batches);
}

void Loader::Shared::join() {
  {
    std::lock_guard lock(mutex);
    stop = true;
  }
  work_there.notify_all();
  for (std::thread& thread : threads) thread.join();
}

void Loader::Shared::add_batch() {
  auto filled = std::make_shared<Filled>();
  filled->batch = maker.prepare(order, next_batch++);
  filled->epoch = epoch;
  filled->rows_left = filled->rows();
  queue.push_back(std::move(filled));
}

void Loader::Shared::make_rows(Filled& filled, int64_t begin, int64_t end, int worker) {
  const auto loading_now = [&](int64_t sample) {
    if (worker >= 0) loading[static_cast<size_t>(worker)] = sample;
  };
  for (int64_t row = begin; row < end; ++row) {
    Mishaps mishaps;
    std::exception_ptr error;
    try {
      maker.fill(filled.batch, row, filled.epoch, loading_now, mishaps);
    } catch (...) {
      error = std::current_exception();
    }
    if (!error && mishaps.bad.empty() && mishaps.damaged == 0) continue;
    std::lock_guard lock(mutex);
    if (error) filled.errors.emplace(row, error);
    filled.mishaps.emplace(row, std::move(mishaps));
  }
  loading_now(-1);
}

void Loader::Shared::work(int worker) {
  std::unique_lock lock(mutex);
  for (;;) {
    work_there.wait(lock, [&] { return stop || can_claim(); });
    if (stop) return;
    std::shared_ptr<Filled> filled;
    try {
      if (queue.empty() || queue.back()->next_row == queue.back()->rows()) add_batch();
      filled = queue.back();
    } catch (...) {
      // No memory for a batch: an empty one delivers the error.
      filled = std::make_shared<Filled>();
      filled->errors.emplace(0, std::current_exception());
      queue.push_back(filled);
      batch_there.notify_all();
      continue;
    }
    const int64_t begin = filled->next_row, end = std::min(begin + kChunk, filled->rows());
    filled->next_row = end;
    lock.unlock();
    make_rows(*filled, begin, end, worker);
    lock.lock();
    filled->rows_left -= end - begin;
    if (filled->rows_left == 0) batch_there.notify_all();
  }
}

std::string Loader::Shared::where_workers_are() const {
  std::string text;
  for (size_t worker = 0; worker < loading.size(); ++worker)
    if (const int64_t sample = loading[worker]; sample >= 0)
      text += str(text.empty() ? "" : ", ", "worker ", worker, " reads '",
                  printable(maker.dataset().name(sample), kLongestPath), "'");
  return text.empty() ? "no worker reads a sample" : text;
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, const TransformOptions& transform,
               const LoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options) {
  check(options_);
  if (options_.max_bad_samples == kAutoBadSamples)
    options_.max_bad_samples = std::max<int64_t>(10, dataset_->size() / 1000);
  shared_ = std::make_shared<Shared>(dataset_, transform, options_);
  if (batches() == 0)
    throw DataError(
        str("loader: ", dataset_->size(), " samples give no batch of ", options_.batch_size),
        "use a smaller batch, or keep the last one (no drop_last)");
  summary_.skipped_files = dataset_->skipped_files();
  shared_->order = epoch_order(dataset_->size(), options_.shuffle, options_.seed, 0);
  try {
    for (int worker = 0; worker < options_.workers; ++worker)
      shared_->threads.emplace_back([shared = shared_, worker] { shared->work(worker); });
  } catch (const std::system_error& error) {
    const size_t started = shared_->threads.size();
    shared_->join();
    throw MemoryError(
        str("loader: ", started, " of ", options_.workers, " workers started: ", error.what()),
        "use fewer --workers");
  }
}

Loader::~Loader() {
  shared_->join();
}

int64_t Loader::batches() const {
  return shared_->last_batch;
}

void Loader::start_epoch(int64_t epoch, int64_t first_batch) {
  if (first_batch < 0 || first_batch > batches())
    throw ConfigError(
        str("loader: epoch ", epoch, " cannot start at batch ", first_batch, " of ", batches()));
  std::vector<int64_t> order =
      epoch_order(dataset_->size(), options_.shuffle, options_.seed, epoch);
  {
    // Workers that still fill a batch of the old epoch own it together; it is dropped when they are
    // done.
    std::lock_guard lock(shared_->mutex);
    shared_->order = std::move(order);
    shared_->epoch = epoch;
    shared_->next_batch = first_batch;
    shared_->queue.clear();
  }
  shared_->work_there.notify_all();
}

std::shared_ptr<Loader::Filled> Loader::take() {
  Shared& shared = *shared_;
  std::unique_lock lock(shared.mutex);
  if (shared.queue.empty() && shared.next_batch == shared.last_batch) return nullptr;
  if (options_.workers == 0) {
    shared.add_batch();
    lock.unlock();
    shared.make_rows(*shared.queue.front(), 0, shared.queue.front()->rows(), -1);
    lock.lock();
  } else if (!shared.batch_there.wait_for(
                 lock, std::chrono::duration<double>(options_.timeout_s),
                 [&] { return !shared.queue.empty() && shared.queue.front()->rows_left == 0; })) {
    // A worker that never returns cannot be joined; it keeps what it uses alive.
    shared.stop = true;
    for (std::thread& thread : shared.threads) thread.detach();
    shared.threads.clear();
    throw DataError(
        str("loader: no batch for ", options_.timeout_s, " s; ", shared.where_workers_are()),
        "is the storage reachable? --data-timeout waits longer");
  }
  std::shared_ptr<Filled> filled = shared.queue.front();
  shared.queue.pop_front();
  shared.work_there.notify_all();
  return filled;
}

void Loader::count(const Filled& filled) {
  for (const auto& [row, mishaps] : filled.mishaps) {
    summary_.damaged += mishaps.damaged;
    for (const Mishaps::Bad& bad : mishaps.bad) {
      summary_.bad.emplace(bad.sample, bad.reason);
      if (static_cast<int64_t>(summary_.bad.size()) <= options_.max_bad_samples) continue;
      if (options_.max_bad_samples == 0)
        throw DataError("bad sample " + bad.reason,
                        bad.hint.empty() ? "--on-bad-sample skip replaces it" : bad.hint);
      std::string what = str("more than ", options_.max_bad_samples, " bad samples:");
      size_t named = 0;
      for (const auto& [sample, reason] : summary_.bad)
        if (named++ < kMostNamed) what += "\n  " + reason;
      throw DataError(what, "--max-bad-samples raises the limit");
    }
  }
}

std::optional<Batch> Loader::next() {
  const std::shared_ptr<Filled> filled = take();
  if (!filled) return std::nullopt;
  count(*filled);
  if (!filled->errors.empty()) std::rethrow_exception(filled->errors.begin()->second);
  return std::move(filled->batch);
}

std::vector<int64_t> epoch_order(int64_t size, bool shuffle, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  if (!shuffle) return order;
  const auto key = philox(seed, static_cast<uint64_t>(epoch), kShuffle);
  Random random(uint64_t{key[1]} << 32 | key[0]);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace stair::data
