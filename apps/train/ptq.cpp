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
        images_ += batch->images.size(0);
        f(batch->images);
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

}  // namespace

PtqResult run_ptq(const PtqConfig& c, const Say& say) {
  const Datasets sets = open_datasets(c.data, false);
  const int64_t classes =
      c.model.num_classes.value_or(static_cast<int64_t>(sets.class_names.size()));
  const CalibrationSet calibration(c);
  const auto model = build_float(c.model, classes, c.data.val_crop_size, c.data.seed, say);
  model->eval();
  PtqResult result;
  result.float_bytes = bytes_of(*model);
  if (c.bn_batches > 0) qat::reestimate_batch_norm(*model, calibration.batches(c.bn_batches));
  const nn::Graph folded = fold_and_equalize(c, *model, calibration.batches(), say);
  nn::GraphModule reference(folded);
  reference.eval();
  if (!c.float_output.empty()) {
    const auto trainable = std::static_pointer_cast<nn::GraphModule>(model->clone());
    qat::unfold_batch_norm(folded, *trainable, calibration.batches());
    make_folders(folder_of(c.float_output));
    nn::save_weights(c.float_output, *trainable);
  }
  // A copy of its own: bias correction moves parameters.
  qat::Prepared prepared = qat::prepare_qat(
      folded.deep_copy(),
      *quantizer_of(preset_config(c.preset, c.wbits, c.abits, c.w_observer, c.observer), c.layers));
  if (c.layers.strict) refuse_floats(prepared.report);
  if (const int64_t floats = float_operations(prepared.report); floats > 0)
    say(str(floats, " operations stay float"));
  nn::GraphModule quantized(std::move(prepared.graph));
  reset_peak_memory();
  const auto start = std::chrono::steady_clock::now();
  qat::calibrate(quantized, calibration.batches());
  result.calibration_images = calibration.images();
  result.calibration_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.calibration_peak_bytes = memory_stats().peak_bytes;
  say(str("calibrated on ", result.calibration_images, " pictures in ",
          fixed(result.calibration_seconds, 1), " s"));
  if (c.adaround) round_adaptively(c, quantized, reference, calibration.batches(), say);
  if (c.bias_correction)
    say(str("corrected the biases of ",
            qat::correct_biases(quantized, reference, calibration.batches()), " layers"));
  result.graph = deploy(quantized, c.model, c.data, sets.class_names);
  make_folders(folder_of(c.output));
  qat::save_int8_graph(result.graph, c.output);
  result.int8_bytes = InputFile(c.output, FileUse::model).size();
  qat::Int8Session session(result.graph);
  data::Loader val(sets.val, val_transform(c.data), val_loader_options(c.data));
  // Bias correction moved the copy alone: the reference is still the equalized float network.
  std::vector<Network> networks = {network_of(*model), network_of(session)};
  if (c.equalize || c.absorb_biases) networks.push_back(network_of(reference));
  if (c.check_freeze) networks.push_back(network_of(quantized));
  const std::vector<Score> scores = evaluate(networks, val);
  result.real = scores[0];
  result.int8 = scores[1];
  if (c.check_freeze) {
    require_equal_scores(scores.back(), result.int8);
    say("frozen, with the same scores");
  }
  if (c.equalize || c.absorb_biases)
    say(str("float after equalization: top-1 ", fixed(scores[2].top1(), 2)));
  return result;
}

}  // namespace stair::apps
