// Pictures a second of the loader on a folder of pictures: decode, RandomResizedCrop(224), flip,
// normalise.
//
//   bench_loader FOLDER [WORKERS=2] [SIZE=224] [SECONDS=5] [train|eval]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "data/loader.h"

namespace stair::data {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(const std::string& folder, int workers, int size, double seconds, bool train) {
  TransformOptions transform;
  transform.crop = train ? CropKind::random_resized_crop : CropKind::resize_center_crop;
  transform.random_resized_crop.size = size;
  transform.resize_center_crop = {size * 256 / 224, size};
  transform.hflip = train ? 0.5F : 0.0F;
  Loader loader(
      std::make_shared<FolderDataset>(folder), transform,
      {.batch_size = 32, .shuffle = train, .workers = workers, .max_bad_samples = kAutoBadSamples});
  // The first epoch warms the page cache and the workers' buffers.
  while (loader.next()) continue;
  int64_t pictures = 0;
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  for (int64_t epoch = 1; seconds_since(start) < seconds; ++epoch) {
    loader.start_epoch(epoch);
    while (const auto batch = loader.next()) pictures += batch->images.count();
  }
  // Processor time tells the cost where other programs take part of the machine.
  const double cpu_ms = 1000.0 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  const auto count = static_cast<double>(pictures);
  std::printf("%s: %d workers, %d px, %s: %.0f images/s, %.3f ms of processor an image\n",
              folder.c_str(), workers, size, train ? "train" : "eval", count / seconds_since(start),
              cpu_ms / count);
}

}  // namespace
}  // namespace stair::data

int main(int argc, char** argv) {
  const auto argument = [&](int i, const char* otherwise) {
    return std::string(argc > i ? argv[i] : otherwise);
  };
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_loader FOLDER [WORKERS] [SIZE] [SECONDS] [train|eval]\n");
    return 2;
  }
  try {
    stair::data::run(argv[1], std::atoi(argument(2, "2").c_str()),
                     std::atoi(argument(3, "224").c_str()), std::atof(argument(4, "5").c_str()),
                     argument(5, "train") != "eval");
  } catch (const stair::Error& error) {
    std::fprintf(stderr, "error: %s\nhint: %s\n", error.what(), error.hint().c_str());
    return error.exit_code();
  }
  return 0;
}
