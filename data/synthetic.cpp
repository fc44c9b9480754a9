#include "data/synthetic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/random.h"
#include "data/shapes.h"

namespace stair::data {
namespace {

constexpr uint64_t kPurpose = 0x73796E7468;
constexpr float kTurn = 6.2831853F;

using Colour = std::array<float, 3>;  // 0 to 255

Colour any_colour(Random& random) {
  return {random.uniform(15, 240), random.uniform(15, 240), random.uniform(15, 240)};
}

float distance(const Colour& a, const Colour& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

// A colour that can be told from `other`.
Colour unlike(const Colour& other, Random& random) {
  constexpr float kApart = 110;
  for (;;) {
    const Colour colour = any_colour(random);
    if (distance(colour, other) > kApart) return colour;
  }
}

Colour mixed(const Colour& a, const Colour& b, float part) {
  Colour colour;
  for (size_t c = 0; c < 3; ++c) colour[c] = a[c] + (b[c] - a[c]) * part;
  return colour;
}

// A surface: a slope from one colour to a near one, with waves.
class Texture {
 public:
  Texture(const Colour& colour, float variation, Random& random)
      : first_(colour), second_(mixed(colour, any_colour(random), variation)) {
    const float direction = random.uniform(0, kTurn), wave = random.uniform(0, kTurn);
    along_ = {std::cos(direction), std::sin(direction)};
    const float frequency = random.uniform(3, 14);
    waves_ = {frequency * std::cos(wave), frequency * std::sin(wave)};
    phase_ = random.uniform(0, kTurn);
    strength_ = random.uniform(0, 0.5F);
  }
  // At a point of the picture, 0 to 1 each way.
  Colour at(float x, float y) const {
    const float slope = 0.5F + (x - 0.5F) * along_[0] + (y - 0.5F) * along_[1];
    const float wave = strength_ * std::sin(waves_[0] * x + waves_[1] * y + phase_);
    return mixed(first_, second_, std::clamp(slope + wave, 0.0F, 1.0F));
  }

 private:
  Colour first_, second_;
  std::array<float, 2> along_, waves_;
  float phase_, strength_;
};

// A shape at a place of the picture, in units of its side.
struct Placed {
  Shape2d shape;
  float x, y, radius, cosine, sine, stretch;

  static Placed at_random(Shape2d shape, float low, float high, float reach, Random& random) {
    const float radius = random.uniform(low, high), angle = any_angle(random);
    const float room = std::max(0.0F, 0.5F - radius) * reach;
    return {shape,
            0.5F + random.uniform(-room, room),
            0.5F + random.uniform(-room, room),
            radius,
            std::cos(angle),
            std::sin(angle),
            random.uniform(0.82F, 1.2F)};
  }
  // No two shapes differ by direction alone, so all may turn; most stand nearly upright.
  static float any_angle(Random& random) {
    return random.uniform() < 0.2F ? random.uniform(0, kTurn) : random.uniform(-0.5F, 0.5F);
  }
  bool covers(float px, float py) const {
    const float dx = (px - x) / radius, dy = (py - y) / radius;
    if (dx * dx + dy * dy > 2.6F) return false;
    return inside(shape, (dx * cosine + dy * sine) * stretch, (dy * cosine - dx * sine) / stretch);
  }
  // Part of a pixel that is covered, from four points.
  float coverage(float px, float py, float pixel) const {
    const float quarter = pixel / 4;
    const int points = covers(px - quarter, py - quarter) + covers(px + quarter, py - quarter) +
                       covers(px - quarter, py + quarter) + covers(px + quarter, py + quarter);
    return static_cast<float>(points) / 4;
  }
};

// Something behind the shape: a speck or a bar in a corner of the picture.
struct Clutter {
  float x, y, half_width, half_height, cosine, sine;
  Colour colour;

  explicit Clutter(Random& random) {
    x = random.uniform(0, 1);
    y = random.uniform(0, 1);
    half_width = random.uniform(0.02F, 0.16F);
    half_height = random.uniform(0.015F, 0.06F);
    const float angle = random.uniform(0, kTurn);
    cosine = std::cos(angle);
    sine = std::sin(angle);
    colour = any_colour(random);
  }
  bool covers(float px, float py) const {
    const float dx = px - x, dy = py - y;
    return std::abs(dx * cosine + dy * sine) < half_width &&
           std::abs(dy * cosine - dx * sine) < half_height;
  }
};

// All of a picture but its noise.
class Scene {
 public:
  Scene(Shape2d shape, Random& random)
      : background_colour_(any_colour(random)),
        background_(background_colour_, 0.35F, random),
        foreground_(unlike(background_colour_, random), 0.3F, random),
        shape_(Placed::at_random(shape, 0.30F, 0.46F, 0.9F, random)),
        light_(random.uniform(0.75F, 1.2F)) {
    for (uint64_t count = random.below(4); count > 0; --count) clutter_.emplace_back(random);
  }
  Colour at(float x, float y, float pixel) const {
    Colour colour = background_.at(x, y);
    for (const Clutter& piece : clutter_)
      if (piece.covers(x, y)) colour = mixed(colour, piece.colour, 0.7F);
    const float part = shape_.coverage(x, y, pixel);
    if (part > 0) colour = mixed(colour, foreground_.at(x, y), part);
    for (float& value : colour) value *= light_;
    return colour;
  }

 private:
  Colour background_colour_;
  Texture background_, foreground_;
  Placed shape_;
  float light_;
  std::vector<Clutter> clutter_;
};

// Noise of mean 0 and deviation 1 from the sum of four bytes: a normal variate a byte would cost
// more than the picture.
float noise(uint32_t bits) {
  constexpr float kDeviation = 147.8F;  // of the sum of four even bytes
  const uint32_t sum = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24);
  return (static_cast<float>(sum) - 510.0F) / kDeviation;
}

void check(const SyntheticOptions& o) {
  const auto range = [](const char* what, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw ConfigError(
          str("synthetic pictures: ", what, " ", value, ", expected ", low, " to ", high));
  };
  range("size", o.size, 1, int64_t{1} << 40);
  range("image size", o.image_size, 8, 4096);
  range("classes", o.num_classes, 2, kShapes);
}

// FNV-1a: the split's part of the key.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return hash;
}

}  // namespace

SyntheticDataset::SyntheticDataset(const SyntheticOptions& options) : options_(options) {
  check(options);
  const auto key = philox(options.seed, hash_of(options.split), kPurpose);
  key_ = uint64_t{key[1]} << 32 | key[0];
  for (int i = 0; i < options.num_classes; ++i)
    class_names_.emplace_back(data::name(static_cast<Shape2d>(i)));
}

std::string SyntheticDataset::name(int64_t index) const {
  return str("synthetic ", options_.split, " ", index, " (",
             class_names_[static_cast<size_t>(label(index))], ")");
}

Image SyntheticDataset::load(int64_t index) const {
  Random random(key_, static_cast<uint64_t>(index));
  const Scene scene(static_cast<Shape2d>(label(index)), random);
  const float strength = random.uniform(3, 18);
  const int side = options_.image_size;
  const float pixel = 1.0F / static_cast<float>(side);
  Image image(side, side);
  uint8_t* out = image.data();
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const Colour colour = scene.at((static_cast<float>(x) + 0.5F) * pixel,
                                     (static_cast<float>(y) + 0.5F) * pixel, pixel);
      for (const float value : colour)
        *out++ = static_cast<uint8_t>(
            std::clamp(value + strength * noise(random.bits()) + 0.5F, 0.0F, 255.0F));
    }
  }
  return image;
}

}  // namespace stair::data
