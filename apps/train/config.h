// The settings of a training run: what qat_train's flags mean.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/program/options.h"
#include "autograd/grad_precision.h"
#include "core/json.h"

namespace stair::apps {

// Where pictures come from and how they are prepared. qat_train and qat_eval share these flags.
struct DataConfig {
  std::string data_path;  // empty: the built-in picture set
  std::string train_dir = "train", val_dir = "val";
  std::string classes;  // file with the list of all classes
  bool allow_empty_classes = false;
  bool strict_images = false;
  int train_crop_size = 224, val_resize_size = 256, val_crop_size = 224;
  int train_crop_padding = -1;  // >= 0: random crop after padding, else random resized crop
  double hflip = 0.5;
  std::vector<double> mean = {0.485, 0.456, 0.406}, std = {0.229, 0.224, 0.225};
  int batch_size = 32, eval_batch_size = 128;
  int64_t train_batches = 0, eval_batches = 0;  // 0: all
  int workers = 2;
  uint64_t seed = 42;
  int64_t synthetic_images = 4000;  // of the built-in set
  std::string on_bad_sample;        // error, skip or empty: skip in training, error in evaluation
  int64_t max_bad_samples = -1;  // of a skipping loader; -1: a thousandth of the set, at least 10
  int64_t max_image_pixels = 100'000'000, max_image_bytes = int64_t{64} << 20;
  double data_timeout = 300;  // seconds
};

struct ModelConfig {
  std::string model = "resnet18";
  std::string weights;
  std::string weights_key;  // of the dictionary in a .pth file; empty: the only one
  std::optional<int64_t> num_classes;
  double width = 1.0;
  bool same_upper_padding = false;
  bool relu6_to_relu = false;
  bool reset_head = false;
  bool allow_nonfinite = false;
};

// Help for training below 8 bits; 0: off.
struct LowBitConfig {
  double distill = 0, distill_temperature = 4;
  double weight_mean = 0;  // decay of the running mean of the parameters
  double dampening = 0, freeze_oscillations = 0;
  bool track_oscillations = false;
  int64_t quant_delay = 0;  // steps
  std::vector<int> progressive_bits;
  std::vector<std::string> progressive_texts;  // the flag
  double scale_lr_factor = 1, scale_weight_decay = 0;
};

// Which layers are quantized: patterns of names and types.
struct LayerConfig {
  std::vector<std::string> exclude, include;
  std::vector<std::string> wbits;  // "layer1.*=4"
  bool strict = false;
  // Files with a QConfigMapping and a BackendConfig, and what is in them; null: none.
  std::string mapping_file, backend_file;
  Json mapping, backend;
};

// What becomes of the network when it is frozen to integers.
struct ExportConfig {
  bool check_freeze = false;  // its scores must stay the same
  std::string folder, form = "onnx";
};

struct TrainConfig {
  DataConfig data;
  ModelConfig model;
  int epochs = 10;
  std::optional<int64_t> float_epochs;
  int num_observer_update_epochs = 4, num_batch_norm_update_epochs = 3, convert_every = 2;
  std::string preset = "x86", quantizer = "ste";
  int wbits = 8, abits = 8;
  int64_t group_size = 0;  // inputs of linear layers that share a scale; 0: all of an output
  std::string w_observer = "moving_average_minmax", a_observer = w_observer;
  std::string init;  // of learned scales; empty: the quantizer's default
  LowBitConfig low_bit;
  bool first_last_8_bits = true, add_operands_8_bits = true;
  LayerConfig layers;
  ExportConfig exported;
  std::string grad_precision;  // empty: what pays on this machine
  bool recompute = false, memory_report = false;
  std::optional<double> lr;
  double lr_min = 0, momentum = 0.9, weight_decay = 1e-4, label_smoothing = 0;
  std::optional<double> clip_grad_norm;
  std::string opt = "sgd", lr_scheduler = "cosine";
  bool nesterov = false;
  int lr_step_size = 30;
  double lr_gamma = 0.1;
  std::vector<std::string> lr_milestones;
  int lr_warmup_epochs = 0;
  std::string lr_warmup_method = "linear";
  double lr_warmup_decay = 0.01;
  std::string resume, output_dir;
  bool overwrite = false;
  int checkpoint_hist = 3;
  int64_t save_every = 0;  // steps; 0: at the end of epochs only
  int print_freq = 50;
  int threads = 0;  // 0: as the environment says
  std::string nonfinite = "error";
};

void add_data_flags(Options& options, DataConfig& config);
void add_model_flags(Options& options, ModelConfig& config);
void add_grad_precision_flag(Options& options, std::string& precision);
void add_layer_flags(Options& options, LayerConfig& config);
void add_freeze_flag(Options& options, bool& check_freeze);
void add_train_flags(Options& options, TrainConfig& config);

// What --grad-precision means; empty: what pays on this machine.
autograd::GradPrecision grad_precision_of(const std::string& flag);

// Fills what was not given: without a data folder and a model name the run is the built-in job
// (resnet20 on drawn pictures of 32 pixels); float epochs and learning rate depend on whether there
// are weights. Throws ConfigError for what contradicts itself.
void complete(TrainConfig& config, const Options& options);

// Bits of the weights of the layers that a pattern means.
struct LayerBits {
  std::string pattern;
  int bits;
};
// What a word of --layer-wbits means. Throws ConfigError.
LayerBits layer_bits(const std::string& text);

// What --model, --quantizer, --observer and --preset can be.
std::vector<std::string> model_names();
std::vector<std::string> quantizer_names();
std::vector<std::string> observer_names();
std::vector<std::string> preset_names();

// "mobilenetv2" is AMD Quark's name of mobilenet_v2.
void complete_model(ModelConfig& model);
// The part of complete() that data and model need: the built-in set is drawn in a size that suits
// the model.
void complete_data(DataConfig& config, ModelConfig& model, const Options& options);

// The number N of "skip:N" in --nonfinite; 0 for "error". Throws ConfigError.
int64_t tolerated_nonfinite(const std::string& text);

}  // namespace stair::apps
