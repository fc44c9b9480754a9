#include "qat/oscillation.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/parallel.h"
#include "qat/weighted_layers.h"

namespace stair::qat {
namespace {

constexpr int kMostBits = 4;
constexpr float kMomentum = 0.01F;
constexpr float kOscillates = 0.005F;
constexpr int8_t kFree = -128;  // no code of 4 bits
constexpr int64_t kGrain = 16384;

// gamma / sqrt(running_var + eps) of a channel, 1 without batch norm.
float factor_of(const QatConv& conv, std::span<const Variable> inputs, int64_t c) {
  if (!conv.options().batch_norm) return 1;
  const float deviation =
      std::sqrt(inputs[6].value().data<float>()[c] + static_cast<float>(conv.options().eps));
  return (inputs[3].defined() ? inputs[3].value().data<float>()[c] : 1.0F) / deviation;
}

bool oscillates(double frequency) {
  return frequency > kOscillates;
}

double share(const std::vector<const Tensor*>& tensors, const std::function<bool(double)>& counts) {
  double hits = 0, all = 0;
  for (const Tensor* t : tensors)
    for (int64_t i = 0; i < t->numel(); ++i) {
      hits += counts(t->dtype() == DType::s8 ? t->data<int8_t>()[i] : t->data<float>()[i]) ? 1 : 0;
      ++all;
    }
  return all > 0 ? hits / all : 0;
}

}  // namespace

OscillationTracker::OscillationTracker(nn::GraphModule& model) {
  for (WeightedLayer& w : weighted_layers(model, kMostBits)) {
    const Shape shape = w.inputs[1].shape();
    Layer layer;
    layer.name = w.name;
    layer.conv = w.conv;
    layer.inputs = std::move(w.inputs);
    layer.code = Tensor::full<int8_t>(shape, kFree);
    layer.direction = Tensor::full<int8_t>(shape, 0);
    layer.frozen = Tensor::full<int8_t>(shape, kFree);
    layer.frequency = Tensor::zeros(shape, DType::f32);
    layer.mean = Tensor::zeros(shape, DType::f32);
    layers_.push_back(std::move(layer));
  }
}

void OscillationTracker::step(double threshold) {
  for (Layer& layer : layers_) follow(layer, threshold);
}

void OscillationTracker::follow(Layer& layer, double threshold) {
  const Tensor q = deployed_weight(*layer.conv, layer.inputs);
  if (q.dtype() != DType::s8) return;  // fake-quant is off, or the quantizer is simulated
  const QParams& p = q.qparams();
  const int64_t channels = q.size(0), inner = q.numel() / channels;
  float* w = layer.inputs[1].value().data<float>();
  int8_t *code = layer.code.data<int8_t>(), *direction = layer.direction.data<int8_t>(),
         *frozen = layer.frozen.data<int8_t>();
  float *frequency = layer.frequency.data<float>(), *mean = layer.mean.data<float>();
  parallel_for(channels, std::max<int64_t>(1, kGrain / inner), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const float step = p.scale[p.per_channel() ? static_cast<size_t>(c) : 0];
      const float factor = factor_of(*layer.conv, layer.inputs, c);
      for (int64_t i = c * inner; i < (c + 1) * inner; ++i) {
        const int8_t now = q.data<int8_t>()[i];
        if (code[i] == kFree) {
          code[i] = now;
          mean[i] = now;
          continue;
        }
        const int change = (now > code[i]) - (now < code[i]);
        const bool turned = change != 0 && direction[i] != 0 && change != direction[i];
        if (change != 0) direction[i] = static_cast<int8_t>(change);
        frequency[i] += kMomentum * ((turned ? 1.0F : 0.0F) - frequency[i]);
        mean[i] += kMomentum * (static_cast<float>(now) - mean[i]);
        code[i] = now;
        if (threshold > 0 && frozen[i] == kFree && frequency[i] > static_cast<float>(threshold))
          frozen[i] = static_cast<int8_t>(std::nearbyint(mean[i]));
        if (frozen[i] != kFree && std::abs(factor) >= 1e-6F) {
          w[i] = static_cast<float>(frozen[i]) * step / factor;
          code[i] = frozen[i];
        }
      }
    }
  });
}

double OscillationTracker::oscillating() const {
  std::vector<const Tensor*> tensors;
  for (const Layer& layer : layers_) tensors.push_back(&layer.frequency);
  return share(tensors, oscillates);
}

std::map<std::string, double> OscillationTracker::oscillating_layers() const {
  std::map<std::string, double> shares;
  for (const Layer& layer : layers_) shares[layer.name] = share({&layer.frequency}, oscillates);
  return shares;
}

double OscillationTracker::frozen() const {
  std::vector<const Tensor*> tensors;
  for (const Layer& layer : layers_) tensors.push_back(&layer.frozen);
  return share(tensors, [](double code) { return code != kFree; });
}

std::vector<NamedTensor> OscillationTracker::state() const {
  std::vector<NamedTensor> state;
  for (const Layer& l : layers_) {
    state.push_back({l.name + ".code", l.code.clone()});
    state.push_back({l.name + ".direction", l.direction.clone()});
    state.push_back({l.name + ".frozen", l.frozen.clone()});
    state.push_back({l.name + ".frequency", l.frequency.clone()});
    state.push_back({l.name + ".mean", l.mean.clone()});
  }
  return state;
}

void OscillationTracker::load_state(std::span<const NamedTensor> state) {
  const std::vector<NamedTensor> own = this->state();
  bool fits = own.size() == state.size();
  for (Layer& l : layers_)
    for (const auto& [part, to] : {std::pair{".code", &l.code},
                                   {".direction", &l.direction},
                                   {".frozen", &l.frozen},
                                   {".frequency", &l.frequency},
                                   {".mean", &l.mean}}) {
      const auto found = std::find_if(state.begin(), state.end(), [&, part = part](const auto& t) {
        return t.name == l.name + part;
      });
      fits = fits && found != state.end() && found->tensor.shape() == to->shape() &&
             found->tensor.dtype() == to->dtype();
      if (fits) to->copy_from(found->tensor);
    }
  if (!fits)
    throw FormatError("oscillation tracker: the state is of another network",
                      "resume with the flags of the run");
}

void add_dampening_gradients(nn::GraphModule& model, double lambda) {
  for (WeightedLayer& layer : weighted_layers(model, 7)) {
    const Tensor q = deployed_weight(*layer.conv, layer.inputs);
    Variable weight = layer.inputs[1];
    if (q.dtype() != DType::s8 || !weight.grad().defined()) continue;
    const QParams& p = q.qparams();
    const int64_t channels = q.size(0), inner = q.numel() / channels;
    const float* w = weight.value().data<float>();
    float* gradient = weight.grad().data<float>();
    for (int64_t c = 0; c < channels; ++c) {
      const float step = p.scale[p.per_channel() ? static_cast<size_t>(c) : 0];
      const float factor = factor_of(*layer.conv, layer.inputs, c);
      for (int64_t i = c * inner; i < (c + 1) * inner; ++i) {
        const float u = w[i] * factor, target = static_cast<float>(q.data<int8_t>()[i]) * step;
        const bool inside =
            u >= static_cast<float>(p.qmin) * step && u <= static_cast<float>(p.qmax) * step;
        if (inside) gradient[i] += static_cast<float>(2 * lambda) * (u - target) * factor;
      }
    }
  }
}

}  // namespace stair::qat
