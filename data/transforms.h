// From a picture to the network's input: crop, resize, flip, normalise. Names and defaults are
// torchvision's.
#pragma once

#include <array>
#include <cstdint>

#include "core/random.h"
#include "core/tensor.h"
#include "data/image.h"

namespace stair::data {

// A part of random area and shape, resized to size x size. Ten tries, then the largest centre crop
// of allowed shape.
struct RandomResizedCrop {
  int size = 224;
  std::array<double, 2> scale = {0.08, 1.0};             // share of the area
  std::array<double, 2> ratio = {3.0 / 4.0, 4.0 / 3.0};  // width / height, log-uniform

  Crop sample(int width, int height, Random& random) const;
};

// The short side becomes `resize` (0: not resized), then the centre is cut out.
struct ResizeCenterCrop {
  int resize = 256;
  int size = 224;
};

// A part of size x size at a random place after `padding` zeros on each side; throws BadSample for
// smaller pictures.
struct RandomCrop {
  int size = 32;
  int padding = 4;

  Crop sample(int width, int height, Random& random) const;
};

// y = (x / 255 - mean) / std, each step rounded to float, one mean and std a channel.
struct Normalize {
  std::array<float, 3> mean = {0.485F, 0.456F, 0.406F};  // ImageNet's
  std::array<float, 3> std = {0.229F, 0.224F, 0.225F};
};

enum class CropKind { random_resized_crop, random_crop, resize_center_crop };

struct TransformOptions {
  CropKind crop = CropKind::resize_center_crop;
  RandomResizedCrop random_resized_crop;
  RandomCrop random_crop;
  ResizeCenterCrop resize_center_crop;
  float hflip = 0.0F;  // probability of mirroring left and right
  Normalize normalize;
};

// Random numbers of one sample in one epoch: a function of the three alone, so pixels depend
// neither on threads nor on order.
Random augmentation_random(uint64_t seed, int64_t epoch, int64_t index);

class Transform {
 public:
  // Throws ConfigError for a size that is not positive, a std that is not, or a range in the wrong
  // order.
  explicit Transform(const TransformOptions& options);

  // Height and width of the output.
  int size() const { return size_; }
  const TransformOptions& options() const { return options_; }

  // The part of a picture that apply needs; a random crop is drawn. Throws BadSample when a random
  // crop does not fit.
  Crop choose(int width, int height, Random& random) const;
  // Makes size() x size() x 3 bytes (HWC) of the part `crop` of `image`, which `choose` chose.
  void apply(const ImageView& image, const Crop& crop, Random& random, uint8_t* out) const;
  // Both for a whole picture.
  void apply(const ImageView& image, Random& random, uint8_t* out) const;
  // What the bytes stand for, normalised: f32 [3,256].
  const Tensor& values() const { return values_; }

 private:
  void cut(const ImageView& image, const Crop& crop, uint8_t* out) const;

  TransformOptions options_;
  int size_;
  Tensor values_;
};

}  // namespace stair::data
