#include "apps/train/data.h"

#include <algorithm>

#include "core/text.h"
#include "data/synthetic.h"

namespace stair::apps {
namespace {

constexpr size_t kMostNamed = 10;

data::TransformOptions base_transform(const DataConfig& c) {
  data::TransformOptions t;
  for (size_t i = 0; i < 3; ++i) {
    t.normalize.mean[i] = static_cast<float>(c.mean[i]);
    t.normalize.std[i] = static_cast<float>(c.std[i]);
  }
  return t;
}

std::shared_ptr<const data::Dataset> drawn(const DataConfig& c, const char* split, int64_t count,
                                           int size) {
  data::SyntheticOptions options;
  options.size = count;
  options.image_size = size;
  options.seed = c.seed;
  options.split = split;
  return std::make_shared<data::SyntheticDataset>(options);
}

}  // namespace

Datasets open_datasets(const DataConfig& c, bool with_train) {
  Datasets sets;
  if (c.data_path.empty()) {
    if (with_train) sets.train = drawn(c, "train", c.synthetic_images, c.train_crop_size);
    sets.val = drawn(c, "val", std::max<int64_t>(c.synthetic_images / 4, 10), c.val_crop_size);
    sets.class_names = sets.val->class_names();
    return sets;
  }
  data::FolderOptions options;
  options.class_list = c.classes;
  options.allow_empty_classes = c.allow_empty_classes;
  options.decode = {c.max_image_pixels, c.max_image_bytes, c.strict_images};
  std::shared_ptr<data::FolderDataset> train;
  if (with_train) {
    train = std::make_shared<data::FolderDataset>(
        data::split_folder(c.data_path, c.train_dir, "--train-dir"), options);
    sets.train = train;
  }
  const auto val = std::make_shared<data::FolderDataset>(
      data::split_folder(c.data_path, c.val_dir, "--val-dir"), options);
  sets.val = val;
  if (with_train && c.classes.empty()) data::check_same_classes(*train, *val);
  sets.class_names = val->class_names();
  return sets;
}

Datasets datasets_for(const DataConfig& config, const Datasets& opened) {
  return config.data_path.empty() ? open_datasets(config, false) : opened;
}

data::TransformOptions train_transform(const DataConfig& c) {
  data::TransformOptions t = base_transform(c);
  t.hflip = static_cast<float>(c.hflip);
  if (c.train_crop_padding >= 0) {
    t.crop = data::CropKind::random_crop;
    t.random_crop.size = c.train_crop_size;
    t.random_crop.padding = c.train_crop_padding;
  } else {
    t.crop = data::CropKind::random_resized_crop;
    t.random_resized_crop.size = c.train_crop_size;
  }
  return t;
}

data::TransformOptions val_transform(const DataConfig& c) {
  data::TransformOptions t = base_transform(c);
  t.crop = data::CropKind::resize_center_crop;
  t.resize_center_crop.resize = c.val_resize_size;
  t.resize_center_crop.size = c.val_crop_size;
  return t;
}

data::LoaderOptions train_loader_options(const DataConfig& c) {
  data::LoaderOptions o;
  o.batch_size = c.batch_size;
  o.shuffle = true;
  o.drop_last = true;
  o.max_batches = c.train_batches;
  o.seed = c.seed;
  o.workers = c.workers;
  o.max_bad_samples = c.on_bad_sample == "error" ? 0 : c.max_bad_samples;
  o.timeout_s = c.data_timeout;
  return o;
}

data::LoaderOptions val_loader_options(const DataConfig& c) {
  data::LoaderOptions o;
  o.batch_size = c.eval_batch_size;
  o.max_batches = c.eval_batches;
  o.seed = c.seed;
  o.workers = c.workers;
  o.max_bad_samples = c.on_bad_sample == "skip" ? c.max_bad_samples : 0;
  o.timeout_s = c.data_timeout;
  return o;
}

std::string tolerated(const std::string& split, const data::LoaderSummary& summary) {
  if (summary.damaged == 0 && summary.bad.empty()) return "";
  std::string line = str(split, ": ", summary.damaged, " damaged pictures used, ",
                         summary.bad.size(), " bad samples replaced");
  size_t named = 0;
  for (const auto& [sample, reason] : summary.bad)
    if (named++ < kMostNamed) line += "\n  " + reason;
  if (named > kMostNamed) line += str("\n  and ", named - kMostNamed, " more");
  return line;
}

}  // namespace stair::apps
