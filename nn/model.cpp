#include "nn/model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/text.h"

namespace stair::nn {

std::vector<const ModelDef*> list_models() {
  std::vector<const ModelDef*> models = {
#define STAIR_MODEL_FILE(stem) &model_##stem,
#include "model_files.inc"
#undef STAIR_MODEL_FILE
  };
  std::sort(models.begin(), models.end(),
            [](const ModelDef* a, const ModelDef* b) { return std::strcmp(a->name, b->name) < 0; });
  return models;
}

const ModelDef& find_model(const std::string& name) {
  std::vector<std::string> names;
  for (const ModelDef* model : list_models()) {
    if (name == model->name) return *model;
    names.emplace_back(model->name);
  }
  throw ConfigError(str("no model is called '", printable(name), "'; there are ", join(names)),
                    did_you_mean(name, names));
}

void check_options(const char* model, const ModelOptions& o) {
  if (o.num_classes.value_or(1) < 1)
    throw ConfigError(str(model, ": num_classes ", *o.num_classes, ", expected at least 1"));
  if (!(o.width > 0) || !std::isfinite(o.width))
    throw ConfigError(str(model, ": width ", o.width, ", expected a positive number"));
  if (const double p = o.dropout.value_or(0); !(p >= 0 && p < 1))
    throw ConfigError(str(model, ": dropout ", p, ", expected at least 0 and less than 1"));
}

}  // namespace stair::nn
