#include "qat/insight/layer_health.h"

#include <cmath>

#include "qat/insight/difference.h"
#include "qat/insight/layer_values.h"

namespace stair::qat {
namespace {

double share_at_ends(const Tensor& codes) {
  Saturation s;
  s.add(codes);
  return s.share();
}

double mean_scale(const QParams& p) {
  double sum = 0;
  for (const float scale : p.scale) sum += std::log(static_cast<double>(scale));
  return std::exp(sum / static_cast<double>(p.scale.size()));
}

}  // namespace

std::map<std::string, LayerHealth> layer_health(nn::GraphModule& model, const Tensor& pictures) {
  std::map<std::string, LayerHealth> health;
  for_layer_values(model, pictures, [&](const LayerValue& layer) {
    if (!layer.value.quantized()) return;
    LayerHealth& h = health[layer.name];
    h.saturation = share_at_ends(layer.value);
    h.scale = layer.value.qparams().scale[0];
  });
  for (const LayerValue& layer : layer_weights(model)) {
    if (!layer.value.quantized()) continue;
    LayerHealth& h = health[layer.name];
    h.weight_saturation = share_at_ends(layer.value);
    h.weight_scale = mean_scale(layer.value.qparams());
  }
  return health;
}

}  // namespace stair::qat
