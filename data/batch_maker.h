// Makes the samples of a batch: load, replace what is bad, transform.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/loader.h"

namespace stair::data {

// What went wrong, but was passed over, while part of a batch was made.
struct Mishaps {
  struct Bad {
    int64_t sample;
    std::string reason;
    std::string hint;
  };
  std::vector<Bad> bad;
  int64_t damaged = 0;
};

class BatchMaker {
 public:
  BatchMaker(std::shared_ptr<const Dataset> dataset, const TransformOptions& transform,
             const LoaderOptions& options)
      : dataset_(std::move(dataset)), transform_(transform), options_(options) {}

  // A batch of the samples order[first] ... with memory for its tensors, which are still to be
  // filled.
  Batch prepare(const std::vector<int64_t>& order, int64_t index) const;
  // Fills row `row`. `loading` is told of each sample before it is read.
  void fill(Batch& batch, int64_t row, int64_t epoch, const std::function<void(int64_t)>& loading,
            Mishaps& mishaps) const;

  const Dataset& dataset() const { return *dataset_; }
  const LoaderOptions& options() const { return options_; }

 private:
  void transform(const Part& part, int64_t sample, Random& random, uint8_t* out) const;

  std::shared_ptr<const Dataset> dataset_;
  Transform transform_;
  LoaderOptions options_;
};

}  // namespace stair::data
