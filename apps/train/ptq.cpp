#include "apps/train/ptq.h"

#include <chrono>

#include "apps/program/report.h"
#include "apps/train/data.h"
#include "apps/train/frozen.h"
#include "apps/train/layer_files.h"
#include "core/file.h"
#include "core/storage.h"
#include "nn/weights.h"
#include "qat/ptq/adaround.h"
#include "qat/ptq/bias_correction.h"
#include "qat/ptq/calibrate.h"
#include "qat/ptq/equalize.h"
#include "qat/ptq/unfold.h"

namespace stair::apps {
namespace {

// Pictures as evaluation prepares them, from the calibration folder in sorted order spread over the
// classes by a fixed permutation.
class CalibrationSet {
 public:
  explicit CalibrationSet(const PtqConfig& c) {
    DataConfig data = c.data;
    data.val_dir = c.calib_dir.empty() ? c.data.train_dir : c.calib_dir;
    const Datasets sets = open_datasets(data, data.data_path.empty());
    data::LoaderOptions options = val_loader_options(c.data);
    options.batch_size = c.data.batch_size;
    options.shuffle = true;
    options.seed = c.data.seed;
    options.max_batches = c.calib_batches;
    loader_ = std::make_unique<data::Loader>(data.data_path.empty() ? sets.train : sets.val,
                                             val_transform(c.data), options);
  }

  // The first `most` batches; 0: all.
  qat::Batches batches(int64_t most = 0) const {
    return [this, most](const std::function<void(const Tensor&)>& f) {
      loader_->start_epoch(0);
      images_ = 0;
      for (int64_t i = 0; most == 0 || i < most; ++i) {
        const auto batch = loader_->next();
        if (!batch) break;
        images_ += batch->images.count();
        f(batch->images.reals());
      }
    };
  }
  int64_t images() const { return images_; }

 private:
  std::unique_ptr<data::Loader> loader_;
  mutable int64_t images_ = 0;
};

nn::Graph fold_and_equalize(const PtqConfig& c, nn::GraphModule& model, const qat::Batches& batches,
                            const Say& say) {
  nn::Graph folded = qat::fold_batch_norm(model.graph());
  if (c.equalize) {
    const qat::EqualizeReport report = qat::equalize(folded, batches);
    say(str("equalized ", report.channels, " channels between ", report.pairs, " pairs of layers"));
  }
  if (c.absorb_biases) {
    const qat::EqualizeReport report = qat::absorb_high_biases(folded, batches);
    say(str("absorbed the biases of ", report.channels, " channels in ", report.pairs, " layers"));
  }
  return folded;
}

void round_adaptively(const PtqConfig& c, nn::GraphModule& quantized, nn::GraphModule& reference,
                      const qat::Batches& batches, const Say& say) {
  const auto start = std::chrono::steady_clock::now();
  qat::AdaRoundOptions options;
  options.iterations = c.adaround_iterations;
  options.say = [&](const qat::AdaRoundLayer& l) {
    say(str("adaround ", l.name, ": error ", l.nearest_error, " to ", l.error, " over ", l.rows,
            " positions, ", l.turned, " of ", l.weights, " weights turned"));
  };
  const size_t layers = qat::adaround(quantized, reference, batches, options).size();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  say(str("rounded the weights of ", layers, " layers in ", fixed(seconds.count(), 1), " s"));
}

uint64_t bytes_of(const nn::GraphModule& model) {
  uint64_t bytes = 0;
  for (const nn::NamedVariable& v : model.named_state()) bytes += v.variable.value().bytes();
  return bytes;
}

// One job: the float network, and its forms on integers.
class PtqJob {
 public:
  PtqJob(const PtqConfig& config, const Say& say)
      : c_(config), say_(say), sets_(open_datasets(c_.data, false)), calibration_(c_) {
    const int64_t classes =
        c_.model.num_classes.value_or(static_cast<int64_t>(sets_.class_names.size()));
    model_ = build_float(c_.model, classes, c_.data.val_crop_size, c_.data.seed, say_);
    model_->eval();
    result_.float_bytes = bytes_of(*model_);
    if (c_.bn_batches > 0) qat::reestimate_batch_norm(*model_, calibration_.batches(c_.bn_batches));
    folded_ = fold_and_equalize(c_, *model_, calibration_.batches(), say_);
    reference_ = std::make_unique<nn::GraphModule>(folded_);
    reference_->eval();
  }

  PtqResult run() {
    if (!c_.float_output.empty()) write_float();
    LayerConfig layers = c_.layers;
    if (wants_search(c_.search)) {
      result_.search = search(c_.search, c_.layers, c_.wbits, c_.first_last_8_bits, hooks());
      layers = result_.search.layers;
    }
    const auto quantized = quantize_finally(layers);
    result_.int8_bytes = write(*quantized);
    score_all(*quantized);
    return std::move(result_);
  }

 private:
  void write_float() {
    const auto trainable = std::static_pointer_cast<nn::GraphModule>(model_->clone());
    qat::unfold_batch_norm(folded_, *trainable, calibration_.batches());
    make_folders(folder_of(c_.float_output));
    nn::save_weights(c_.float_output, *trainable);
  }

  qat::Prepared prepare(const LayerConfig& layers, int wbits) const {
    qat::QuantizationConfig config =
        preset_config(c_.preset, wbits, c_.abits, c_.w_observer, c_.observer);
    config.weight.group_size = c_.group_size;
    config.first_last_8_bits = c_.first_last_8_bits;
    config.add_operands_8_bits = c_.add_operands_8_bits;
    // A copy of its own: bias correction moves parameters.
    return prepare_preset(folded_.deep_copy(), c_.preset, *quantizer_of(config, layers));
  }

  int64_t correct_biases(nn::GraphModule& quantized) {
    return c_.bias_correction ? qat::correct_biases(quantized, *reference_, calibration_.batches())
                              : 0;
  }

  std::unique_ptr<nn::GraphModule> quantize_finally(const LayerConfig& layers) {
    qat::Prepared prepared = prepare(layers, c_.wbits);
    if (c_.layers.strict) refuse_floats(prepared.report);
    if (const int64_t floats = float_operations(prepared.report); floats > 0)
      say_(str(floats, " operations stay float"));
    auto quantized = std::make_unique<nn::GraphModule>(std::move(prepared.graph));
    reset_peak_memory();
    const auto start = std::chrono::steady_clock::now();
    for (const auto& [name, count] : qat::calibrate(*quantized, calibration_.batches()))
      say_(str("'", name, "' left out ", count, " values that were NaN or infinite"));
    result_.calibration_images = calibration_.images();
    result_.calibration_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    result_.calibration_peak_bytes = memory_stats().peak_bytes;
    say_(str("calibrated on ", result_.calibration_images, " pictures in ",
             fixed(result_.calibration_seconds, 1), " s"));
    if (c_.adaround) round_adaptively(c_, *quantized, *reference_, calibration_.batches(), say_);
    if (const int64_t layers_moved = correct_biases(*quantized); c_.bias_correction)
      say_(str("corrected the biases of ", layers_moved, " layers"));
    return quantized;
  }

  PtqHooks hooks() {
    PtqHooks hooks;
    // Without AdaRound, which takes long and only helps.
    hooks.quantize = [this](const LayerConfig& layers, int wbits) {
      auto quantized = std::make_unique<nn::GraphModule>(prepare(layers, wbits).graph);
      qat::calibrate(*quantized, calibration_.batches());
      correct_biases(*quantized);
      return quantized;
    };
    hooks.int8_top1 = [this](const nn::GraphModule& quantized) {
      qat::Int8Session session(deploy(quantized, c_.model, c_.data, sets_.class_names));
      return score({network_of(session)})[0].top1();
    };
    hooks.float_top1 = [this] { return score({network_of(*model_)})[0].top1(); };
    hooks.file_bytes = [this](const nn::GraphModule& quantized) { return write(quantized); };
    hooks.batches = calibration_.batches(c_.search.sensitivity_batches);
    hooks.say = say_;
    return hooks;
  }

  // Bytes of the int8 file.
  uint64_t write(const nn::GraphModule& quantized) {
    result_.graph = deploy(quantized, c_.model, c_.data, sets_.class_names);
    make_folders(folder_of(c_.output));
    qat::save_int8_graph(result_.graph, c_.output);
    return InputFile(c_.output, FileUse::model).size();
  }

  std::vector<Score> score(const std::vector<Network>& networks) const {
    data::Loader val(sets_.val, val_transform(c_.data), val_loader_options(c_.data));
    return evaluate(networks, val);
  }

  void score_all(nn::GraphModule& quantized) {
    qat::Int8Session session(result_.graph);
    // Bias correction moved the copy alone: the reference is still the equalized float network.
    std::vector<Network> networks = {network_of(*model_), network_of(session)};
    const bool changed = c_.equalize || c_.absorb_biases;
    if (changed) networks.push_back(network_of(*reference_));
    if (c_.check_freeze) networks.push_back(network_of(quantized));
    const std::vector<Score> scores = score(networks);
    result_.real = scores[0];
    result_.int8 = scores[1];
    if (c_.check_freeze) {
      require_equal_scores(scores.back(), result_.int8);
      say_("frozen, with the same scores");
    }
    if (changed) say_(str("float after equalization: top-1 ", fixed(scores[2].top1(), 2)));
  }

  const PtqConfig& c_;
  const Say& say_;
  Datasets sets_;
  CalibrationSet calibration_;
  std::shared_ptr<nn::GraphModule> model_;
  nn::Graph folded_;
  std::unique_ptr<nn::GraphModule> reference_;
  PtqResult result_;
};

}  // namespace

PtqResult run_ptq(const PtqConfig& config, const Say& say) {
  return PtqJob(config, say).run();
}

}  // namespace stair::apps
