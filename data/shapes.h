// The shapes of the built-in picture set.
#pragma once

namespace stair::data {

enum class Shape2d { circle, square, triangle, star, cross, ring, stripes, checker, heart, arrow };
inline constexpr int kShapes = 10;

const char* name(Shape2d shape);

// Whether the point (u, v) is inside the shape, which fills about the circle of radius 1 around (0,
// 0); v points down.
bool inside(Shape2d shape, float u, float v);

}  // namespace stair::data
