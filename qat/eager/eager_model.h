// The eager flow of torch.ao: a model that is fused, prepared and converted step by step.
//
//   EagerModel model(std::make_shared<QM>(), example);
//   model.eval();
//   model.set_qconfig("", get_default_qconfig("fbgemm"));
//   fuse_modules(model, {{"conv", "relu"}});
//   prepare(model);
//   for (...) model(batch);  // calibrates
//   convert(model);
//
// The steps work on the captured graph, as all flows do; the model's own modules stay as they are.
// What lies between a QuantStub and a DeQuantStub is quantized; without stubs all is. Layers
// without a QConfig, and what their neighbours hand them, are in float without stubs of their own.
#pragma once

#include "nn/graph/graph_module.h"
#include "qat/prepare.h"
#include "qat/qconfig.h"

namespace stair::qat {

class EagerModel {
 public:
  // Captures the model on the example.
  EagerModel(std::shared_ptr<nn::Module> model, const Variable& example);

  // model.qconfig (the empty path) or that of a module; it holds for all below that have none of
  // their own. None: float. Throws ConfigError with the nearest name when there is no such module.
  EagerModel& set_qconfig(const std::string& path, std::optional<QConfig> qconfig);

  void train(bool on = true) { runs_->train(on); }
  void eval() { train(false); }
  bool is_training() const { return runs_->is_training(); }
  Variable operator()(const Variable& x) { return (*runs_)(x); }

  // What runs: for optimizers, observers and checkpoints.
  nn::GraphModule& module() { return *runs_; }
  // After prepare: the prepared graph, also after convert; qat::convert takes it to the engine.
  const nn::Graph& prepared_graph() const { return prepared_.graph; }
  const std::vector<NodeReport>& report() const { return prepared_.report; }
  // As torch prints the model at this step.
  std::string to_text() const;

 private:
  friend void fuse_modules(EagerModel&, const std::vector<std::vector<std::string>>&);
  friend void fuse_modules_qat(EagerModel&, const std::vector<std::vector<std::string>>&);
  friend void prepare(EagerModel&);
  friend void prepare_qat(EagerModel&);
  friend void convert(EagerModel&);

  enum class Step { floating, prepared, converted };
  void require(Step step, const char* function) const;
  void require_mode(bool training, const char* function, const char* hint) const;
  void fuse(const std::vector<std::vector<std::string>>& lists, const char* function);
  void prepare_graph(const char* function);
  std::optional<std::string> text_of(const std::string& path, const nn::Module& module) const;
  std::string fused_text(const std::vector<std::string>& list) const;
  std::string quantized_text(const std::string& path, const nn::Module& module) const;
  nn::Module* find(const std::string& path) const;

  std::shared_ptr<nn::Module> model_;
  nn::Graph graph_;
  std::vector<std::pair<std::string, std::optional<QConfig>>> qconfigs_;
  std::vector<std::vector<std::string>> fused_;
  bool fused_for_training_ = false;
  Step step_ = Step::floating;
  Prepared prepared_;
  std::shared_ptr<nn::GraphModule> runs_;
};

// Each list names modules that follow each other: a convolution and its batch norm, ReLU or both,
// or a linear layer and its ReLU. fuse_modules needs evaluation mode, fuse_modules_qat training
// mode. Throws ConfigError: wrong mode, a name that there is not, a list without its layer or in
// another order.
using ModuleLists = std::vector<std::vector<std::string>>;
void fuse_modules(EagerModel& model, const ModuleLists& lists);
void fuse_modules_qat(EagerModel& model, const ModuleLists& lists);
// The one of them that is_qat says; nothing: that of the model's mode.
void fuse_modules_for(EagerModel& model, const ModuleLists& lists,
                      std::optional<bool> is_qat = std::nullopt);

// From here on the model observes (evaluation mode, fake-quant off), or trains on integers
// (training mode). Throws ConfigError when the mode is the other one or no module has a QConfig.
void prepare(EagerModel& model);
void prepare_qat(EagerModel& model);
// To quantize and dequantize nodes. Throws ConfigError in training mode, or without calibration.
void convert(EagerModel& model);

// All steps, with what `run` does to the model between prepare and convert.
void quantize(EagerModel& model, const std::function<void(EagerModel&)>& run);
void quantize_qat(EagerModel& model, const std::function<void(EagerModel&)>& run);

}  // namespace stair::qat
