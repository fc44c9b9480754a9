#include "apps/train/config.h"

#include <algorithm>
#include <charconv>

#include "apps/train/layer_files.h"
#include "core/error.h"
#include "core/text.h"
#include "nn/model.h"
#include "qat/presets.h"
#include "qat/quantizer.h"

namespace stair::apps {
namespace {

constexpr int64_t kMillion = 1000000;
constexpr const char* kQuarksMobilenet = "mobilenetv2";

void add_schedule_flags(Options& options, TrainConfig& c) {
  options.group("Optimization");
  options.choice("--opt", c.opt, {"sgd", "adam", "adamw"}, {.help = "optimizer"});
  options.real("--lr", c.lr, {.min = 0, .max = 100},
               {.help = "learning rate (default: 0.05 from random weights, 0.0001 from --weights)",
                .usual = true});
  options.real("--lr-min", c.lr_min, {.min = 0, .max = 100}, {.help = "where cosine ends"});
  options.real("--momentum", c.momentum, {.min = 0, .max = 1}, {.help = "of sgd"});
  options.flag("--nesterov", c.nesterov, {.help = "Nesterov momentum"});
  options.real("--weight-decay,--wd", c.weight_decay, {.min = 0, .max = 100},
               {.help = "of weights; norms, biases and scales have none"});
  options.choice("--lr-scheduler,--sched", c.lr_scheduler,
                 {"constant", "step", "multistep", "cosine"},
                 {.help = "how the learning rate falls, per step"});
  options.integer("--lr-step-size", c.lr_step_size, {.min = 1, .max = kMillion},
                  {.help = "of step", .unit = "epochs"});
  options.real("--lr-gamma", c.lr_gamma, {.min = 0, .max = 1},
               {.help = "factor of step and multistep"});
  options.texts("--lr-milestones", c.lr_milestones, {.help = "of multistep", .unit = "epochs"});
  options.integer("--lr-warmup-epochs", c.lr_warmup_epochs, {.min = 0, .max = kMillion},
                  {.help = "warm-up", .unit = "epochs"});
  options.choice("--lr-warmup-method", c.lr_warmup_method, {"linear", "constant"},
                 {.help = "warm-up"});
  options.real("--lr-warmup-decay", c.lr_warmup_decay, {.min = 0, .max = 1},
               {.help = "factor at the start of the warm-up"});
  options.real("--label-smoothing", c.label_smoothing, {.min = 0, .max = 1},
               {.help = "of the loss"});
  options.real("--clip-grad-norm", c.clip_grad_norm, {.min = 0, .max = 1e9},
               {.help = "clip the gradient to this norm"});
  options.text("--nonfinite", c.nonfinite,
               {.help = "error, or skip:N to pass over N steps in a row", .value = "POLICY"});
}

void add_quantization_flags(Options& options, TrainConfig& c) {
  options.group("Quantization");
  options.choice("--preset", c.preset, preset_names(),
                 {.help = "backend to quantize for; --observer says how ranges are found"});
  options.choice(
      "--quantizer", c.quantizer, quantizer_names(),
      {.help = "quantizer of weights and activations (default: the preset's)", .usual = true});
  options.integer("--wbits", c.wbits, {.min = 2, .max = 8},
                  {.help = "bits of weights", .usual = true});
  options.integer("--abits", c.abits, {.min = 2, .max = 8},
                  {.help = "bits of activations", .usual = true});
  options.integer("--group-size", c.group_size, {.min = 0, .max = 1 << 20},
                  {.help = "inputs of a linear layer that share a scale, 0: all of an output"});
  const std::vector<std::string> observers = observer_names();
  options.choice("--w-observer", c.w_observer, observers, {.help = "range of weights"});
  options.choice("--a-observer,--observer", c.a_observer, observers,
                 {.help = "range of activations"});
  options.flag("--first-last-8-bits", c.first_last_8_bits,
               {.help = "first and last layer keep 8 bits below 8"});
  options.flag("--add-operands-8-bits", c.add_operands_8_bits,
               {.help = "tensors that only additions read keep 8 bits below 8"});
  options.integer("--num-observer-update-epochs", c.num_observer_update_epochs,
                  {.min = 0, .max = kMillion}, {.help = "QAT epochs until the observers freeze"});
  options.integer("--num-batch-norm-update-epochs", c.num_batch_norm_update_epochs,
                  {.min = 0, .max = kMillion}, {.help = "QAT epochs until batch norm freezes"});
  options.integer("--convert-every", c.convert_every, {.min = 1, .max = kMillion},
                  {.help = "evaluate an int8 copy every so many epochs"});
  options.integer("--float-epochs", c.float_epochs, {.min = 0, .max = kMillion},
                  {.help = "first epochs without quantization (default: 0 with --weights, else "
                           "three tenths of --epochs)"});
  add_grad_precision_flag(options, c.grad_precision);
  add_layer_flags(options, c.layers);
  add_layer_file_flags(options, c.layers);
}

void add_low_bit_flags(Options& options, TrainConfig& config) {
  LowBitConfig& c = config.low_bit;
  options.group("Below 8 bits");
  options.text("--scale-init", config.init,
               {.help = "start of learned scales (default: the quantizer's own)"});
  options.real("--scale-lr-factor", c.scale_lr_factor, {.min = 0, .max = 1000},
               {.help = "on the learning rate of what quantizers learn"});
  options.real("--scale-weight-decay", c.scale_weight_decay, {.min = 0, .max = 100},
               {.help = "of what quantizers learn"});
  options.real("--distill", c.distill, {.min = 0, .max = 1},
               {.help = "share of the loss that comes from the float network"});
  options.real("--distill-temperature", c.distill_temperature, {.min = 0.01, .max = 1000},
               {.help = "softens both outputs"});
  options.real("--weight-mean", c.weight_mean, {.min = 0, .max = 0.999999},
               {.help = "score and write a running mean of the parameters with this decay"});
  options.real("--dampening", c.dampening, {.min = 0, .max = 1000},
               {.help = "pull of weights to their codes, grows along half a cosine"});
  options.real("--freeze-oscillations", c.freeze_oscillations, {.min = 0, .max = 1},
               {.help = "freeze weights that oscillate more often, falls from 0.1"});
  options.flag("--track-oscillations", c.track_oscillations,
               {.help = "share of oscillating weights in the metrics"});
  options.integer("--quant-delay", c.quant_delay, {.min = 0, .max = int64_t{1} << 40},
                  {.help = "QAT steps that only observe", .unit = "steps"});
  options.texts("--progressive-bits", c.progressive_texts,
                {.help = "bits before --wbits and --abits, equal shares of the QAT epochs"});
}

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const nn::ModelDef* def : nn::list_models()) names.emplace_back(def->name);
  return names;
}

std::vector<std::string> quantizer_names() {
  std::vector<std::string> names;
  for (const qat::QuantizerDef* def : qat::quantizers()) names.emplace_back(def->name);
  return names;
}

std::vector<std::string> observer_names() {
  std::vector<std::string> names;
  for (const qat::ObserverDef* def : qat::observers())
    if (def->calibrates) names.emplace_back(def->name);
  return names;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const qat::Preset& preset : qat::presets()) names.emplace_back(preset.name);
  return names;
}

void add_layer_flags(Options& options, LayerConfig& c) {
  options.texts("--exclude", c.exclude,
                {.help = "layers that stay float: names, globs or types (layer1, 'layer?.0.conv*', "
                         "linear)"});
  options.texts("--include", c.include,
                {.help = "the only layers to quantize, named the same way"});
  options.texts("--layer-wbits", c.wbits,
                {.help = "bits of single layers' weights: layer1.0.conv1=4, 'layer3.*=2', "
                         "linear=8; the last that names a layer counts"});
  options.flag("--strict", c.strict, {.help = "an operation that stays float is an error"});
}

void add_freeze_flag(Options& options, bool& check_freeze) {
  options.flag("--check-freeze", check_freeze,
               {.help = "exit 9 unless the int8 file scores as the network before it was frozen"});
}

LayerBits layer_bits(const std::string& text) {
  const size_t place = text.rfind('=');
  const std::string bits = place == std::string::npos ? "" : text.substr(place + 1);
  if (place == 0 || bits.size() != 1 || bits[0] < '2' || bits[0] > '8')
    throw ConfigError(str("--layer-wbits ", in_quotes(text), ", expected NAME=BITS, 2 to 8 bits"));
  return {text.substr(0, place), bits[0] - '0'};
}

void add_grad_precision_flag(Options& options, std::string& precision) {
  options.choice("--grad-precision", precision, autograd::grad_precision_names(),
                 {.help = "of gradients that meet integers: bf16x2 is as good as f32 and fast with "
                          "AMX, bf16 is coarser (default: bf16x2 with AMX, else f32)"});
}

autograd::GradPrecision grad_precision_of(const std::string& flag) {
  return flag.empty() ? autograd::default_grad_precision() : autograd::grad_precision_named(flag);
}

void add_data_flags(Options& options, DataConfig& c) {
  options.group("Data");
  options.text(
      "--data-path,--data-dir,--data_dir", c.data_path,
      {.help = "folder with train/CLASS/* and val/CLASS/* (default: the built-in picture set)",
       .value = "FOLDER",
       .usual = true});
  options.text("--train-dir", c.train_dir, {.help = "training pictures, in the data folder"});
  options.text("--val-dir", c.val_dir, {.help = "evaluation pictures, in the data folder"});
  options.text("--class-list,--classes", c.classes,
               {.help = "list of all classes, when only some have a folder", .value = "FILE"});
  options.flag("--allow-empty-classes", c.allow_empty_classes,
               {.help = "accept class folders without pictures"});
  options.flag("--strict-images", c.strict_images, {.help = "damaged pictures are bad samples"});
  options.integer("--batch-size,-b", c.batch_size, {.min = 1, .max = 65536},
                  {.help = "of training", .unit = "pictures", .usual = true});
  options.integer("--eval-batch-size", c.eval_batch_size, {.min = 1, .max = 65536},
                  {.help = "of evaluation", .unit = "pictures"});
  options.integer("--train-batches", c.train_batches, {.min = 0, .max = 1000000000},
                  {.help = "batches an epoch, 0: all"});
  options.integer("--eval-batches", c.eval_batches, {.min = 0, .max = 1000000000},
                  {.help = "batches an evaluation, 0: all"});
  options.integer("--workers,-j", c.workers, {.min = 0, .max = 256},
                  {.help = "loader threads, 0: none", .unit = "threads"});
  options.integer("--train-crop-size", c.train_crop_size, {.min = 1, .max = 4096},
                  {.help = "side", .unit = "pixels"});
  options.integer("--val-resize-size", c.val_resize_size, {.min = 0, .max = 8192},
                  {.help = "short side, 0: no resize", .unit = "pixels"});
  options.integer("--val-crop-size", c.val_crop_size, {.min = 1, .max = 4096},
                  {.help = "side", .unit = "pixels"});
  options.integer(
      "--train-crop-padding", c.train_crop_padding, {.min = -1, .max = 512},
      {.help = "crop at random after padding (CIFAR: 4) instead of random resized crops",
       .unit = "pixels"});
  options.real("--hflip", c.hflip, {.min = 0, .max = 1}, {.help = "probability of mirroring"});
  options.reals("--mean", c.mean, 3, {.min = -1000, .max = 1000},
                {.help = "of the channels, pictures in 0..1"});
  options.reals("--std", c.std, 3, {.min = 1e-6, .max = 1000}, {.help = "of the channels"});
  options.choice("--on-bad-sample", c.on_bad_sample, {"error", "skip"},
                 {.help = "pictures that cannot be read (default: skip in training)"});
  options.integer("--max-bad-samples", c.max_bad_samples, {.min = -1, .max = kMillion},
                  {.help = "skipped at most, -1: a thousandth of the set, at least 10"});
  options.integer("--max-image-pixels", c.max_image_pixels, {.min = 1, .max = int64_t{1} << 30},
                  {.help = "larger pictures are bad samples", .unit = "pixels"});
  options.integer("--max-image-bytes", c.max_image_bytes, {.min = 1, .max = int64_t{1} << 32},
                  {.help = "larger files are bad samples", .unit = "bytes"});
  options.real("--data-timeout", c.data_timeout, {.min = 1, .max = 1e6},
               {.help = "longest wait for a batch", .unit = "s"});
  options.integer("--seed", c.seed, {.min = 0, .max = int64_t{1} << 53},
                  {.help = "of weights, order and augmentation"});
  options.integer("--synthetic-images", c.synthetic_images, {.min = 10, .max = kMillion},
                  {.help = "of the built-in set"});
}

void add_model_flags(Options& options, ModelConfig& c) {
  options.group("Model");
  std::vector<std::string> names = model_names();
  names.emplace_back(kQuarksMobilenet);
  options.choice("--model,--model_name", c.model, names, {.help = "network", .usual = true});
  options.text(
      "--weights", c.weights,
      {.help = "start from these (safetensors, torch's .pth)", .value = "FILE", .usual = true});
  options.text("--weights-key", c.weights_key,
               {.help = "dictionary in a .pth file that holds several", .value = "KEY"});
  options.integer("--num-classes", c.num_classes, {.min = 1, .max = kMillion},
                  {.help = "outputs (default: the classes of the data)"});
  options.real("--width", c.width, {.min = 0.05, .max = 16}, {.help = "factor of the channels"});
  options.flag("--same-upper-padding", c.same_upper_padding,
               {.help = "TensorFlow's padding of stride 2"});
  options.flag("--relu6-to-relu", c.relu6_to_relu, {.help = "MobileNetV2 with ReLU"});
  options.flag("--reset-head", c.reset_head, {.help = "new classifier when the classes differ"});
  options.flag("--allow-nonfinite", c.allow_nonfinite,
               {.help = "accept NaN and infinity in weights"});
}

void add_train_flags(Options& options, TrainConfig& c) {
  add_model_flags(options, c.model);
  add_data_flags(options, c.data);
  options.group("Training");
  options.integer("--epochs", c.epochs, {.min = 0, .max = kMillion},
                  {.help = "all epochs, float ones included", .usual = true});
  options.text("--output-dir,--output", c.output_dir,
               {.help = "run folder (default: runs/MODEL)", .value = "FOLDER", .usual = true});
  options.text("--resume", c.resume,
               {.help = "go on: auto, a run folder or a checkpoint",
                .value = "WHAT",
                .usual = true,
                .saved = false});
  options.flag("--overwrite", c.overwrite,
               {.help = "start anew in a folder that holds a run", .saved = false});
  options.integer("--checkpoint-hist", c.checkpoint_hist, {.min = 1, .max = kMillion},
                  {.help = "checkpoints that are kept"});
  options.integer("--save-every", c.save_every, {.min = 0, .max = int64_t{1} << 40},
                  {.help = "also save every so many steps"});
  options.integer("--print-freq,--log-interval", c.print_freq, {.min = 1, .max = kMillion},
                  {.help = "steps between lines", .saved = false});
  options.integer(
      "--threads", c.threads, {.min = 0, .max = 4096},
      {.help = "of computing, 0: all cores", .environment = "STAIR_NUM_THREADS", .saved = false});
  options.flag("--recompute", c.recompute,
               {.help = "keep less for the backward and compute it again: less memory, the same "
                        "bits"});
  options.flag("--memory-report", c.memory_report,
               {.help = "show what the peak of a step's memory was for", .saved = false});
  add_quantization_flags(options, c);
  add_freeze_flag(options, c.exported.check_freeze);
  options.text("--export-dir,--export_dir", c.exported.folder,
               {.help = "at the end write MODEL.onnx and MODEL.json (encodings) of last.int8",
                .value = "FOLDER"});
  options.choice("--model-export,--model_export", c.exported.form, {"onnx"},
                 {.help = "what --export-dir gets", .saved = false});
  add_low_bit_flags(options, c);
  add_schedule_flags(options, c);
  options.contradiction("--resume", "--weights", "a checkpoint has its own weights");
  options.contradiction("--resume", "--overwrite", "one goes on, the other starts anew");
}

int64_t tolerated_nonfinite(const std::string& text) {
  if (text == "error") return 0;
  int64_t count = 0;
  const char* end = text.data() + text.size();
  if (text.rfind("skip:", 0) == 0) {
    const auto [stop, error] = std::from_chars(text.data() + 5, end, count);
    if (error == std::errc() && stop == end && count > 0) return count;
  }
  throw ConfigError(str("--nonfinite '", text, "', expected error or skip:N"));
}

void complete_model(ModelConfig& model) {
  if (model.model == kQuarksMobilenet) model.model = "mobilenet_v2";
}

void complete_data(DataConfig& c, ModelConfig& model, const Options& options) {
  complete_model(model);
  if (!c.data_path.empty()) return;
  const int size =
      model.model.rfind("resnet", 0) == 0 && nn::find_model(model.model).input_size <= 32 ? 32 : 64;
  if (!options.given("--train-crop-size")) c.train_crop_size = size;
  if (!options.given("--val-crop-size")) c.val_crop_size = size;
  if (!options.given("--val-resize-size")) c.val_resize_size = 0;
  if (!options.given("--train-crop-padding")) c.train_crop_padding = size / 8;
}

void complete(TrainConfig& c, const Options& options) {
  if (c.data.data_path.empty() && !options.given("--model")) {
    c.model.model = "resnet20";
    if (!options.given("--epochs")) c.epochs = 8;
    if (!options.given("--num-batch-norm-update-epochs")) c.num_batch_norm_update_epochs = 5;
    if (!options.given("--batch-size")) c.data.batch_size = 64;
    if (!options.given("--lr")) c.lr = 0.1;
  }
  complete_data(c.data, c.model, options);
  read_layer_files(c.layers);
  if (!options.given("--quantizer") && c.quantizer == TrainConfig().quantizer)
    c.quantizer = qat::find_preset(c.preset).config.weight.quantizer;
  if (c.output_dir.empty()) c.output_dir = "runs/" + c.model.model;
  if (!c.float_epochs)
    c.float_epochs =
        c.model.weights.empty() ? std::max(c.epochs * 3 / 10, c.epochs > 1 ? 1 : 0) : 0;
  if (*c.float_epochs > c.epochs)
    throw ConfigError(str("--float-epochs ", *c.float_epochs, " is more than --epochs ", c.epochs),
                      "--epochs counts all epochs, float ones included");
  if (*c.float_epochs == c.epochs && (c.exported.check_freeze || !c.exported.folder.empty()))
    throw ConfigError("--check-freeze and --export-dir want integers, and there is no epoch of QAT",
                      "let --epochs be more than --float-epochs");
  if (options.given("--model-export") && c.exported.folder.empty())
    throw ConfigError("--model-export needs --export-dir", "--export-dir FOLDER");
  if (c.num_observer_update_epochs == 0 && *c.float_epochs < c.epochs && c.resume.empty())
    throw ConfigError("--num-observer-update-epochs 0 freezes observers that saw no batch",
                      "calibrate first: at least one epoch of --num-observer-update-epochs");
  for (const std::string& text : c.low_bit.progressive_texts) {
    if (text.size() != 1 || text[0] < '2' || text[0] > '8')
      throw ConfigError(str("--progressive-bits '", text, "', expected numbers from 2 to 8"));
    c.low_bit.progressive_bits.push_back(text[0] - '0');
  }
  if (!c.lr) c.lr = c.model.weights.empty() ? 0.05 : 1e-4;
  tolerated_nonfinite(c.nonfinite);
  c.grad_precision = autograd::name(grad_precision_of(c.grad_precision));
}

}  // namespace stair::apps
