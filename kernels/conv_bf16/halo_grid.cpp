#include "kernels/conv_bf16/halo_grid.h"

namespace stair::kernels {

void HaloGrid::cut(int64_t pixels) {
  const int64_t area = rows.grid * cols.grid;
  chunk_images_ = std::clamp<int64_t>(pixels / area, 1, images);
  chunk_rows_ = chunk_images_ > 1 ? rows.grid : ceil_div(rows.grid, ceil_div(area, pixels));
  row_chunks_ = ceil_div(rows.grid, chunk_rows_);
}

HaloChunk HaloGrid::chunk(int64_t index) const {
  const int64_t image = index / row_chunks_ * chunk_images_,
                row = index % row_chunks_ * chunk_rows_;
  return {image, std::min(chunk_images_, images - image), row,
          std::min(chunk_rows_, rows.grid - row)};
}

HaloGrid::Line HaloGrid::line(const HaloChunk& c, int64_t index) const {
  const int64_t y = index - rows.lead();
  if (c.images == 1) return {c.image, c.row + y};
  if (y < 0 || y / rows.pitch() >= c.images) return {0, -1};
  return {c.image + y / rows.pitch(), y % rows.pitch()};
}

}  // namespace stair::kernels
