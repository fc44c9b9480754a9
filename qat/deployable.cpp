#include "qat/deployable.h"

namespace stair::qat {
namespace {

// Evaluation mode for a scope.
class EvalScope {
 public:
  explicit EvalScope(nn::Module& module) : module_(module), before_(module.is_training()) {
    module.eval();
  }
  ~EvalScope() { module_.train(before_); }
  EvalScope(const EvalScope&) = delete;
  EvalScope& operator=(const EvalScope&) = delete;

 private:
  nn::Module& module_;
  bool before_;
};

void refuse_simulated(const nn::Node& node, const Quantizer& quantizer) {
  if (const std::string reason = quantizer.simulated(); !reason.empty())
    throw ConfigError(str("convert: '", node.name, "' has no integer form: ", reason),
                      "it trains on real numbers only; use another quantizer or other bits");
}

}  // namespace

void require_deployable(const nn::Node& node, const Quantizer& quantizer) {
  refuse_simulated(node, quantizer);
  if (!quantizer.calibrated())
    throw ConfigError(str("convert: tensor '", node.name, "' has no scale yet"),
                      "calibrate first: run batches in training mode");
  if (!quantizer.fake_quant_enabled())
    throw ConfigError(str("convert: tensor '", node.name, "' is not quantized"),
                      "switch its fake-quant on");
}

QatConv::Folded deployed_weights(const nn::Graph& prepared, const nn::Node& node, QatConv& conv,
                                 float x_scale) {
  std::vector<Variable> inputs(node.inputs.size());
  for (size_t i = 1; i < inputs.size(); ++i)
    if (node.inputs[i] >= 0) inputs[i] = prepared.node(node.inputs[i]).variable;
  EvalScope eval(conv);
  const autograd::NoGrad no_grad;
  refuse_simulated(node, conv.weight_quantizer());
  QatConv::Folded form = conv.folded(inputs, x_scale);
  if (!form.weight.quantized())
    throw ConfigError(str("convert: the weights of '", node.name, "' are not quantized"),
                      "switch fake-quant on");
  return form;
}

void set_conv_attributes(const QatConvOptions& options, Attributes& attributes) {
  const autograd::Conv2dOptions& o = options.conv;
  const auto list = [](const auto& values) {
    return std::vector<int64_t>(values.begin(), values.end());
  };
  attributes.set("stride", list(o.stride));
  attributes.set("padding", list(o.padding));
  attributes.set("dilation", list(o.dilation));
  attributes.set("groups", o.groups);
}

}  // namespace stair::qat
