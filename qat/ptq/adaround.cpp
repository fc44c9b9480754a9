#include "qat/ptq/adaround.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/dequantize.h"
#include "autograd/optimizer_step.h"
#include "core/parallel.h"
#include "core/text.h"
#include "qat/ptq/layer_rows.h"

namespace stair::qat {
namespace {

using nn::Node;

constexpr float kZeta = 1.1F, kGamma = -0.1F;  // h(V) reaches 0 and 1 at finite V
constexpr int64_t kGrain = 4096;

// What an only reader does with the outputs of a layer.
struct Clip {
  float low = -INFINITY, high = INFINITY;
  float operator()(float y) const { return std::clamp(y, low, high); }
  bool inside(float y) const { return y > low && y < high; }
};

Clip clip_behind(const nn::Graph& graph, int id) {
  const int reader = only_reader(graph, id);
  const std::string op = reader < 0 ? "" : graph.node(reader).op;
  if (op == "relu") return {0, INFINITY};
  if (op == "relu6") return {0, 6};
  return {};
}

// V of all weights of a layer, and the weights they stand for.
class SoftRounding {
 public:
  SoftRounding(const Tensor& w, const QParams& p)
      : v_(Tensor::empty(w.shape(), DType::f32)),
        m_(Tensor::zeros(w.shape(), DType::f32)),
        s_(Tensor::zeros(w.shape(), DType::f32)),
        g_(Tensor::empty(w.shape(), DType::f32)),
        soft_(Tensor::empty(w.shape(), DType::f32)),
        floor_(static_cast<size_t>(w.numel())),
        h_(static_cast<size_t>(w.numel())),
        p_(p),
        inner_(w.numel() / static_cast<int64_t>(p.scale.size())) {
    for (int64_t i = 0; i < w.numel(); ++i) {
      const float steps = w.data<float>()[i] / scale(i), down = std::floor(steps);
      floor_[static_cast<size_t>(i)] = down;
      v_.data<float>()[i] = -std::log((kZeta - kGamma) / (steps - down - kGamma) - 1);
    }
    soften();
  }

  // W~; its memory changes with each step.
  const Tensor& weight() const { return soft_; }

  // Moves V along the gradient of W~ and of factor * sum(1 - |2h - 1|^beta).
  void step(const Tensor& gw, float factor, float beta, int64_t t, double lr) {
    parallel_for(soft_.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        g_.data<float>()[i] = gradient(i, gw.data<float>()[i], factor, beta);
    });
    autograd::AdamOptions adam;
    adam.lr = lr;
    autograd::adam_step(v_, g_, m_, s_, t, adam);
    soften();
  }

  // s * code of every weight, h made 0 or 1.
  Tensor hard() const {
    Tensor w = Tensor::empty(soft_.shape(), DType::f32);
    for (int64_t i = 0; i < w.numel(); ++i)
      w.data<float>()[i] = value(i, h_[static_cast<size_t>(i)] >= 0.5F ? 1.0F : 0.0F);
    return w;
  }

  double settled() const {
    const auto is_settled = [](float h) { return h == 0 || h == 1; };
    return static_cast<double>(std::count_if(h_.begin(), h_.end(), is_settled)) /
           static_cast<double>(h_.size());
  }

 private:
  float scale(int64_t i) const { return p_.scale[static_cast<size_t>(i / inner_)]; }
  float code(int64_t i, float h) const { return floor_[static_cast<size_t>(i)] + h; }
  float value(int64_t i, float h) const {
    return scale(i) *
           std::clamp(code(i, h), static_cast<float>(p_.qmin), static_cast<float>(p_.qmax));
  }

  void soften() {
    parallel_for(soft_.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float sigmoid = 1 / (1 + std::exp(-v_.data<float>()[i]));
        const float h = std::clamp(sigmoid * (kZeta - kGamma) + kGamma, 0.0F, 1.0F);
        h_[static_cast<size_t>(i)] = h;
        soft_.data<float>()[i] = value(i, h);
      }
    });
  }

  float gradient(int64_t i, float gw, float factor, float beta) const {
    const float h = h_[static_cast<size_t>(i)], c = code(i, h);
    if (h <= 0 || h >= 1) return 0;
    float g =
        c < static_cast<float>(p_.qmin) || c > static_cast<float>(p_.qmax) ? 0 : gw * scale(i);
    const float off = 2 * h - 1;  // the regularizer pushes it towards -1 or 1
    if (factor > 0) g -= factor * 2 * beta * std::copysign(std::pow(std::abs(off), beta - 1), off);
    const float sigmoid = (h - kGamma) / (kZeta - kGamma);
    return g * (kZeta - kGamma) * sigmoid * (1 - sigmoid);
  }

  Tensor v_, m_, s_, g_, soft_;  // m_, s_: Adam's
  std::vector<float> floor_, h_;
  QParams p_;
  int64_t inner_;  // weights of a scale
};

// By output channel, the mean over all rows of the squared error.
std::vector<double> errors_of(const LayerRows& rows, const Tensor& weight, const Variable& bias,
                              const Clip& clip) {
  const autograd::NoGrad no_grad;
  std::vector<double> errors(static_cast<size_t>(weight.size(0)));
  constexpr int64_t kRows = 1024;
  for (int64_t begin = 0; begin < rows.count(); begin += kRows) {
    const LayerRows::Batch batch = rows.slice(begin, std::min(begin + kRows, rows.count()));
    const Tensor y = rows.outputs(batch.x, Variable(weight), bias).value();
    for (int64_t i = 0; i < y.numel(); ++i) {
      const double e = clip(y.data<float>()[i]) - clip(batch.y.data<float>()[i]);
      errors[static_cast<size_t>(i) % errors.size()] += e * e;
    }
  }
  for (double& e : errors) e /= static_cast<double>(rows.count());
  return errors;
}

// The gradient of the mean over rows of |f(y) - f(wanted)|^2.
Tensor error_gradient(const Tensor& y, const Tensor& wanted, const Clip& clip) {
  Tensor gy = Tensor::empty(y.shape(), DType::f32);
  const float factor = 2.0F / static_cast<float>(y.size(0));
  for (int64_t i = 0; i < y.numel(); ++i) {
    const float v = y.data<float>()[i];
    gy.data<float>()[i] = clip.inside(v) ? factor * (v - clip(wanted.data<float>()[i])) : 0;
  }
  return gy;
}

void optimize(SoftRounding& rounding, const LayerRows& rows, const Variable& bias, const Clip& clip,
              const AdaRoundOptions& o, Random& random) {
  const auto warm = static_cast<int64_t>(o.warm_start * static_cast<double>(o.iterations));
  for (int64_t t = 0; t < o.iterations; ++t) {
    const LayerRows::Batch batch = rows.sample(std::min(o.batch_rows, rows.count()), random);
    const Variable weight(rounding.weight(), true);
    const Variable y = rows.outputs(batch.x, weight, bias);
    y.backward(error_gradient(y.value(), batch.y, clip));
    const double progress = static_cast<double>(t - warm) /
                            static_cast<double>(std::max<int64_t>(1, o.iterations - warm));
    const double beta = o.beta_end + 0.5 * (o.beta_start - o.beta_end) *
                                         (1 + std::cos(progress * std::numbers::pi));
    rounding.step(weight.grad(), t < warm ? 0 : static_cast<float>(o.regularization),
                  static_cast<float>(beta), t + 1, 10 / static_cast<double>(o.iterations));
  }
}

class Rounder {
 public:
  Rounder(nn::GraphModule& quantized, nn::GraphModule& reference, const Batches& batches,
          const AdaRoundOptions& options)
      : quantized_(quantized), reference_(reference), batches_(batches), options_(options) {
    for (int id : weighted_nodes(reference.graph())) sources_[reference.graph().node(id).path] = id;
  }

  std::vector<AdaRoundLayer> run() {
    std::vector<AdaRoundLayer> report;
    for (const Node& node : quantized_.graph().nodes()) {
      const auto* conv = dynamic_cast<const QatConv*>(node.module.get());
      if (conv == nullptr || !sources_.contains(node.path)) continue;
      report.push_back(round(node, *conv));
      if (options_.say) options_.say(report.back());
    }
    return report;
  }

 private:
  AdaRoundLayer round(const Node& node, const QatConv& conv) {
    if (conv.options().batch_norm)
      throw ConfigError(str("adaround: '", node.name, "' has a batch norm"),
                        "fold the graph before it is prepared");
    const Tensor w = input_of(node, 1).value();
    const Variable bias = node.inputs[2] < 0 ? Variable() : input_of(node, 2).detach();
    const int source = sources_.at(node.path);
    const Clip clip = clip_behind(reference_.graph(), source);
    Random random(42, static_cast<uint64_t>(node.id));
    const LayerRows rows = rows_of(node, conv, source, random);
    const Tensor nearest = rounded(conv, w);
    SoftRounding rounding(w, nearest.qparams());
    optimize(rounding, rows, bias, clip, options_, random);
    AdaRoundLayer line{.name = node.name, .rows = rows.count(), .weights = w.numel()};
    line.settled = rounding.settled();
    Tensor values = w;
    values.copy_from(better_channels(autograd::dequantize(nearest).reshape(w.shape()),
                                     rounding.hard(), rows, bias, clip, line));
    if (!on_grid(rounded(conv, w), w))
      throw ConfigError(str("adaround: the quantizer '", conv.weight_quantizer().spec().quantizer,
                            "' of '", node.name, "' does not keep values on its grid"),
                        "use the quantizer ste");
    return line;
  }

  const Variable& input_of(const Node& node, size_t i) const {
    return quantized_.graph().node(node.inputs[i]).variable;
  }

  static Tensor rounded(const QatConv& conv, const Tensor& w) {
    const autograd::NoGrad no_grad;
    return conv.quantized(Variable(w)).value();
  }

  static bool on_grid(const Tensor& codes, const Tensor& w) {
    const Tensor real = autograd::dequantize(codes);
    return std::equal(real.data<float>(), real.data<float>() + real.numel(), w.data<float>());
  }

  LayerRows rows_of(const Node& node, const QatConv& conv, int source, Random& random) {
    const autograd::NoGrad no_grad;
    LayerRows rows(conv.options(), input_of(node, 1).shape(), options_.cache_bytes);
    Tensor x, y;
    const int input = node.inputs[0];
    quantized_.set_observer([&x, input](const Node& n, const Variable& value) {
      if (n.id == input) x = value.value();
    });
    reference_.set_observer([&y, source](const Node& n, const Variable& value) {
      if (n.id == source) y = value.value();
    });
    batches_([&](const Tensor& pictures) {
      if (rows.full()) return;
      (void)quantized_(Variable(pictures));
      (void)reference_(Variable(pictures));
      rows.take(x, y, random);
    });
    quantized_.set_observer({});
    reference_.set_observer({});
    if (rows.count() == 0) throw ConfigError("adaround: there are no pictures to calibrate with");
    return rows;
  }

  static Tensor better_channels(const Tensor& nearest, const Tensor& chosen, const LayerRows& rows,
                                const Variable& bias, const Clip& clip, AdaRoundLayer& line) {
    const std::vector<double> before = errors_of(rows, nearest, bias, clip);
    const std::vector<double> after = errors_of(rows, chosen, bias, clip);
    const Tensor best = nearest.clone();
    const int64_t inner = best.numel() / best.size(0);
    for (size_t o = 0; o < before.size(); ++o) {
      line.nearest_error += before[o];
      line.error += std::min(before[o], after[o]);
      if (!(after[o] < before[o])) continue;
      const float *from = chosen.data<float>() + static_cast<int64_t>(o) * inner,
                  *old = nearest.data<float>() + static_cast<int64_t>(o) * inner;
      for (int64_t i = 0; i < inner; ++i) line.turned += from[i] != old[i] ? 1 : 0;
      std::copy_n(from, inner, best.data<float>() + static_cast<int64_t>(o) * inner);
    }
    return best;
  }

  nn::GraphModule &quantized_, &reference_;
  const Batches& batches_;
  const AdaRoundOptions& options_;
  std::map<std::string, int> sources_;  // ids in the reference by path
};

}  // namespace

std::vector<AdaRoundLayer> adaround(nn::GraphModule& quantized, nn::GraphModule& reference,
                                    const Batches& batches, const AdaRoundOptions& options) {
  quantized.eval();
  reference.eval();
  return Rounder(quantized, reference, batches, options).run();
}

}  // namespace stair::qat
