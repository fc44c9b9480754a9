// The pictures of a run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/train/config.h"
#include "data/loader.h"

namespace stair::apps {

struct Datasets {
  std::shared_ptr<const data::Dataset> train;  // null when only evaluating
  std::shared_ptr<const data::Dataset> val;
  std::vector<std::string> class_names;
};

// Opens the folders, or draws the built-in set. Throws DataError (rows D of docs/errors.md).
Datasets open_datasets(const DataConfig& config, bool with_train);

// `opened`, or the built-in set again, in the size of pictures that `config`, a file's, asks for.
Datasets datasets_for(const DataConfig& config, const Datasets& opened);

data::TransformOptions train_transform(const DataConfig& config);
data::TransformOptions val_transform(const DataConfig& config);
data::LoaderOptions train_loader_options(const DataConfig& config);
data::LoaderOptions val_loader_options(const DataConfig& config);

// "train: 2 damaged pictures used, 1 bad samples replaced", then up to ten of these, a line each.
// Empty when all pictures were good.
std::string tolerated(const std::string& split, const data::LoaderSummary& summary);

}  // namespace stair::apps
