#include "data/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/pixels.h"
#include "data/decode.h"
#include "data/resize.h"

namespace stair::data {
namespace {

// Keeps this stream apart from those of the same seed elsewhere (shuffling, synthetic pictures).
constexpr uint64_t kPurpose = 0x61756D656E74;
// Of a resized picture: keeps sizes within int.
constexpr double kLongestSide = 1 << 28;

// As Python's round(): halves go to the even neighbour.
int rounded(double value) {
  return static_cast<int>(std::nearbyint(value));
}

double uniform(const std::array<double, 2>& range, Random& random) {
  return range[0] + (range[1] - range[0]) * static_cast<double>(random.uniform());
}

int place(int size, int part, Random& random) {
  return static_cast<int>(random.below(static_cast<uint64_t>(size - part) + 1));
}

// The crop of `image` into `out`, rows without gaps; zeros where it reaches outside.
void copy_crop(const ImageView& image, const Crop& crop, uint8_t* out) {
  const int left = std::clamp(-crop.x, 0, crop.width);
  const int right = std::clamp(image.width - crop.x, left, crop.width);
  for (int y = 0; y < crop.height; ++y, out += ptrdiff_t{3} * crop.width) {
    const int row = crop.y + y;
    if (row < 0 || row >= image.height || left == right) {
      std::memset(out, 0, static_cast<size_t>(3 * crop.width));
      continue;
    }
    std::memset(out, 0, static_cast<size_t>(3 * left));
    std::memcpy(out + 3 * left, image.row(row) + 3 * (crop.x + left),
                static_cast<size_t>(3 * (right - left)));
    std::memset(out + 3 * right, 0, static_cast<size_t>(3 * (crop.width - right)));
  }
}

// Left to right, in place.
void mirror(uint8_t* pixels, int size) {
  for (int y = 0; y < size; ++y, pixels += ptrdiff_t{3} * size)
    for (int left = 0, right = size - 1; left < right; ++left, --right)
      std::swap_ranges(pixels + 3 * left, pixels + 3 * left + 3, pixels + 3 * right);
}

// Where the centre crop of `size` begins, negative when zeros are needed before the picture.
int centre(int length, int size) {
  return length < size ? -((size - length) / 2) : rounded((length - size) / 2.0);
}

// Only the part of the resized picture that is cut out is computed: a 1 x 5000 strip resized whole
// would be a gigabyte.
void resize_center_crop(const ImageView& image, const ResizeCenterCrop& options, uint8_t* out) {
  int width = image.width, height = image.height;
  const int size = options.size, shorter = std::min(width, height);
  if (options.resize > 0 && shorter != options.resize) {
    const auto scaled = [&](int side) {
      const double longer = static_cast<double>(options.resize) * side / shorter;
      if (longer > kLongestSide)
        throw BadSample(str(image.width, "x", image.height,
                            " pixels are too narrow to be resized to ", options.resize));
      return static_cast<int>(longer);
    };
    width = image.width <= image.height ? options.resize : scaled(image.width);
    height = image.width <= image.height ? scaled(image.height) : options.resize;
  }
  const int x = centre(width, size), y = centre(height, size);
  if (width == image.width && height == image.height)
    return copy_crop(image, {x, y, size, size}, out);
  const int left = std::max(x, 0), top = std::max(y, 0);
  const ResizeOptions window{
      width, height, left, top, std::min(size, width - left), std::min(size, height - top)};
  if (window.window_width < size || window.window_height < size)
    std::memset(out, 0, size_t{3} * static_cast<size_t>(size) * static_cast<size_t>(size));
  const ptrdiff_t stride = ptrdiff_t{3} * size;
  resize_into(image, window, out + (top - y) * stride + ptrdiff_t{3} * (left - x), stride);
}

int output_size(const TransformOptions& options) {
  switch (options.crop) {
    case CropKind::random_resized_crop:
      return options.random_resized_crop.size;
    case CropKind::random_crop:
      return options.random_crop.size;
    default:
      return options.resize_center_crop.size;
  }
}

void check(const TransformOptions& o) {
  constexpr int kLargest = 16384;
  if (output_size(o) < 1 || output_size(o) > kLargest)
    throw ConfigError(str("transform: crop size ", output_size(o), ", expected 1 to ", kLargest));
  if (o.resize_center_crop.resize < 0 || o.resize_center_crop.resize > kLargest)
    throw ConfigError(
        str("transform: resize ", o.resize_center_crop.resize, ", expected 0 to ", kLargest));
  if (o.random_crop.padding < 0 || o.random_crop.padding > kLargest)
    throw ConfigError(
        str("transform: padding ", o.random_crop.padding, ", expected 0 to ", kLargest));
  const auto& [scale, ratio] = std::pair(o.random_resized_crop.scale, o.random_resized_crop.ratio);
  if (!(scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1))
    throw ConfigError(
        str("transform: scale ", scale[0], " to ", scale[1], ", expected 0 < low <= high <= 1"));
  if (!(ratio[0] > 0 && ratio[0] <= ratio[1] && ratio[1] <= 1000))
    throw ConfigError(
        str("transform: ratio ", ratio[0], " to ", ratio[1], ", expected 0 < low <= high <= 1000"));
  if (!(o.hflip >= 0 && o.hflip <= 1))
    throw ConfigError(str("transform: flip probability ", o.hflip, ", expected 0 to 1"));
}

}  // namespace

Crop RandomResizedCrop::sample(int width, int height, Random& random) const {
  const double area = static_cast<double>(width) * height;
  const std::array<double, 2> log_ratio = {std::log(ratio[0]), std::log(ratio[1])};
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * uniform(scale, random);
    const double aspect = std::exp(uniform(log_ratio, random));
    const int w = rounded(std::sqrt(target * aspect)), h = rounded(std::sqrt(target / aspect));
    if (w <= 0 || h <= 0 || w > width || h > height) continue;
    const int y = place(height, h, random);
    return {place(width, w, random), y, w, h};
  }
  const double shape = static_cast<double>(width) / height;
  int w = width, h = height;
  if (shape < ratio[0]) h = std::max(1, rounded(w / ratio[0]));
  if (shape > ratio[1]) w = std::max(1, rounded(h * ratio[1]));
  return {(width - w) / 2, (height - h) / 2, w, h};
}

Crop RandomCrop::sample(int width, int height, Random& random) const {
  const int padded_width = width + 2 * padding, padded_height = height + 2 * padding;
  if (padded_width < size || padded_height < size)
    throw BadSample(str(width, "x", height, " pixels are too few for a crop of ", size,
                        " with padding ", padding));
  const int y = place(padded_height, size, random) - padding;
  return {place(padded_width, size, random) - padding, y, size, size};
}

Random augmentation_random(uint64_t seed, int64_t epoch, int64_t index) {
  const auto key = philox(seed, static_cast<uint64_t>(epoch), kPurpose);
  return Random(uint64_t{key[1]} << 32 | key[0], static_cast<uint64_t>(index));
}

Transform::Transform(const TransformOptions& options)
    : options_(options), size_(output_size(options)) {
  check(options);
  values_ = values_of_bytes(options.normalize.mean, options.normalize.std);
}

Crop Transform::choose(int width, int height, Random& random) const {
  if (options_.crop == CropKind::random_resized_crop)
    return options_.random_resized_crop.sample(width, height, random);
  if (options_.crop == CropKind::random_crop)
    return options_.random_crop.sample(width, height, random);
  return {0, 0, width, height};
}

void Transform::cut(const ImageView& image, const Crop& crop, uint8_t* out) const {
  if (options_.crop == CropKind::random_resized_crop)
    resize_into(image.crop(crop.x, crop.y, crop.width, crop.height),
                {size_, size_, 0, 0, size_, size_}, out, ptrdiff_t{3} * size_);
  else if (options_.crop == CropKind::random_crop)
    copy_crop(image, crop, out);
  else
    resize_center_crop(image, options_.resize_center_crop, out);
}

void Transform::apply(const ImageView& image, Random& random, uint8_t* out) const {
  apply(image, choose(image.width, image.height, random), random, out);
}

void Transform::apply(const ImageView& image, const Crop& crop, Random& random,
                      uint8_t* out) const {
  cut(image, crop, out);
  if (options_.hflip > 0 && random.uniform() < options_.hflip) mirror(out, size_);
}

}  // namespace stair::data
