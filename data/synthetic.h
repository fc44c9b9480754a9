// The built-in picture set: drawn shapes, made on the fly from a seed, so that training can be
// tried without any files.
//
// Ten classes: circle, square, triangle, star, cross, ring, stripes, checker, heart, arrow. Colour,
// size, place, rotation, texture, background, clutter, light and noise vary and do not tell the
// class; only the shape does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace stair::data {

struct SyntheticOptions {
  int64_t size = 5000;   // pictures; the classes take turns
  int image_size = 32;   // pixels a side
  int num_classes = 10;  // the first so many
  uint64_t seed = 0;     // another seed (or split) gives other pictures of the same kind
  std::string split = "train";
};

class SyntheticDataset : public Dataset {
 public:
  // Throws ConfigError for options out of range: size 1 to 2^40, image_size 8 to 4096, num_classes
  // 2 to 10.
  explicit SyntheticDataset(const SyntheticOptions& options);

  int64_t size() const override { return options_.size; }
  int64_t label(int64_t index) const override { return index % options_.num_classes; }
  std::string name(int64_t index) const override;
  Image load(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return class_names_; }

 private:
  SyntheticOptions options_;
  uint64_t key_;
  std::vector<std::string> class_names_;
};

}  // namespace stair::data
