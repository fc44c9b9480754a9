#include "data/shapes.h"

#include <cmath>

namespace stair::data {
namespace {

bool in_triangle(float u, float v) {
  // Corners (0, -1), (-0.87, 0.5), (0.87, 0.5).
  return v < 0.5F && v > -1.0F + 1.732F * std::abs(u);
}

// Five points: the distance to the edge between an outer and an inner corner, by folding the plane
// to one tenth.
bool in_star(float u, float v) {
  constexpr float kTenth = 0.6283185F, kInner = 0.45F;
  const float radius = std::hypot(u, v);
  float angle = std::fmod(std::atan2(u, -v) + 10 * kTenth, 2 * kTenth);
  if (angle > kTenth) angle = 2 * kTenth - angle;
  const float x = radius * std::cos(angle), y = radius * std::sin(angle);
  // The edge from (1, 0) to the inner corner.
  const float ex = kInner * std::cos(kTenth) - 1.0F, ey = kInner * std::sin(kTenth);
  return ex * y - ey * (x - 1.0F) > 0.0F;
}

bool in_heart(float u, float v) {
  // (x^2 + y^2 - 1)^3 < x^2 y^3, scaled into the circle.
  const float x = 1.2F * u, y = 0.1F - 1.2F * v, s = x * x + y * y - 1.0F;
  return s * s * s < x * x * y * y * y;
}

bool in_arrow(float u, float v) {
  if (v < 0.0F) return v > -0.95F && std::abs(u) < (v + 0.95F) * 0.85F;
  return v < 0.95F && std::abs(u) < 0.26F;
}

bool even(float x) {
  return (static_cast<int>(std::floor(x)) & 1) == 0;
}

}  // namespace

const char* name(Shape2d shape) {
  constexpr const char* kNames[kShapes] = {"circle", "square",  "triangle", "star",  "cross",
                                           "ring",   "stripes", "checker",  "heart", "arrow"};
  return kNames[static_cast<int>(shape)];
}

bool inside(Shape2d shape, float u, float v) {
  const float square = u * u + v * v, largest = std::fmax(std::abs(u), std::abs(v));
  switch (shape) {
    case Shape2d::circle:
      return square < 0.72F;
    case Shape2d::square:
      return largest < 0.76F;
    case Shape2d::triangle:
      return in_triangle(u, v);
    case Shape2d::star:
      return in_star(u, v);
    case Shape2d::cross:
      return largest < 0.9F && std::fmin(std::abs(u), std::abs(v)) < 0.28F;
    case Shape2d::ring:
      return square < 0.85F && square > 0.3F;
    case Shape2d::stripes:
      return largest < 0.85F && even((v + 0.85F) / 0.34F);
    case Shape2d::checker:
      return largest < 0.84F && even((u + 0.84F) / 0.42F) == even((v + 0.84F) / 0.42F);
    case Shape2d::heart:
      return in_heart(u, v);
    case Shape2d::arrow:
      return in_arrow(u, v);
  }
  return false;
}

}  // namespace stair::data
