// Quantizes a trained float network without training: folds batch norm, calibrates, converts,
// scores.
#include <iostream>

#include "apps/program/options.h"
#include "apps/program/report.h"
#include "apps/program/run_main.h"
#include "apps/train/layer_files.h"
#include "apps/train/ptq.h"
#include "core/parallel.h"
#include "core/text.h"

namespace stair::apps {
namespace {

struct Settings {
  PtqConfig ptq;
  int threads = 0;
  std::optional<double> min_top1;
};

void add_flags(Options& options, Settings& s) {
  PtqConfig& c = s.ptq;
  add_model_flags(options, c.model);
  add_data_flags(options, c.data);
  options.group("Quantization");
  options.choice("--preset", c.preset, preset_names(),
                 {.help = "backend to quantize for", .usual = true});
  options.integer("--calib-batches", c.calib_batches, {.min = 1, .max = 1000000},
                  {.help = "batches that find the ranges", .usual = true});
  options.text("--calib-dir", c.calib_dir,
               {.help = "calibration pictures, in the data folder (default: --train-dir)"});
  options.choice("--observer,--a-observer", c.observer, observer_names(),
                 {.help = "range of activations (default: the preset's)"});
  options.choice("--w-observer", c.w_observer, observer_names(),
                 {.help = "range of weights (default: the preset's)"});
  options.integer("--wbits", c.wbits, {.min = 2, .max = 8}, {.help = "bits of weights"});
  options.integer("--abits", c.abits, {.min = 2, .max = 8}, {.help = "bits of activations"});
  options.integer("--group-size", c.group_size, {.min = 0, .max = 1 << 20},
                  {.help = "inputs of a linear layer that share a scale, 0: all of an output"});
  options.flag("--equalize", c.equalize, {.help = "cross-layer equalization", .usual = true});
  options.flag("--absorb-biases", c.absorb_biases,
               {.help = "high biases move to the next layer, after --equalize"});
  options.flag("--bias-correction", c.bias_correction,
               {.help = "biases take back the shift of the mean", .usual = true});
  options.flag("--adaround", c.adaround,
               {.help = "learns which weights round up and which down", .usual = true});
  options.integer("--adaround-iterations", c.adaround_iterations, {.min = 1, .max = 1000000},
                  {.help = "steps of that for each layer"});
  options.integer("--bn-batches", c.bn_batches, {.min = 0, .max = 1000000},
                  {.help = "batches that estimate batch norm anew, 0: as trained"});
  options.flag("--first-last-8-bits", c.first_last_8_bits,
               {.help = "first and last layer keep 8 bits below 8"});
  options.flag("--add-operands-8-bits", c.add_operands_8_bits,
               {.help = "tensors that only additions read keep 8 bits below 8"});
  add_layer_flags(options, c.layers);
  add_layer_file_flags(options, c.layers);
  add_freeze_flag(options, c.check_freeze);
  add_search_flags(options, c.search);
  options.group("Output");
  options.text("--output", c.output,
               {.help = "int8 file to write (default: runs/MODEL/ptq.int8)",
                .value = "FILE",
                .usual = true});
  options.text(
      "--float-output", c.float_output,
      {.help = "write the equalized float weights, for qat_train --weights", .value = "FILE"});
  options.real("--min-top1", s.min_top1, {.min = 0, .max = 100},
               {.help = "exit 9 when the int8 top-1 is below", .unit = "percent"});
  options.integer("--threads", s.threads, {.min = 0, .max = 4096},
                  {.help = "of computing, 0: all cores", .environment = "STAIR_NUM_THREADS"});
  options.example("qat_ptq --model resnet18 --weights resnet18.safetensors --data-path imagenet",
                  "calibrates on 32 training batches, scores float and int8 on the val folder");
}

Json to_json(const PtqResult& r) {
  Json j = Json::object();
  j.set("float_top1", r.real.top1());
  j.set("float_top5", r.real.top5());
  j.set("int8_top1", r.int8.top1());
  j.set("int8_top5", r.int8.top5());
  j.set("images", r.int8.images);
  j.set("calibration_images", r.calibration_images);
  j.set("float_bytes", r.float_bytes);
  j.set("int8_bytes", r.int8_bytes);
  j.set("calibration_seconds", r.calibration_seconds);
  j.set("peak_bytes", r.calibration_peak_bytes);
  const Json search = to_json(r.search);
  for (const auto& [key, value] : search.as_object()) j.set(key, value);
  return j;
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_ptq", "Quantizes a trained network to 8-bit integers without training.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  if (s.threads > 0) set_num_threads(s.threads);
  complete_data(s.ptq.data, s.ptq.model, options);
  read_layer_files(s.ptq.layers);
  if (s.ptq.output.empty()) s.ptq.output = "runs/" + s.ptq.model.model + "/ptq.int8";
  if (s.ptq.search.layers_output.empty())
    s.ptq.search.layers_output = s.ptq.output + ".layers.toml";
  const auto say = [&](const std::string& text) {
    if (!options.quiet()) std::cerr << text << std::endl;
  };
  const PtqResult result = run_ptq(s.ptq, say);
  if (options.json())
    std::cout << to_json(result).dump() << std::endl;
  else
    std::cout << to_string(result.search.sensitivity) << "float top-1 "
              << fixed(result.real.top1(), 2) << " top-5 " << fixed(result.real.top5(), 2) << ", "
              << human_bytes(result.float_bytes) << " | int8 top-1 " << fixed(result.int8.top1(), 2)
              << " top-5 " << fixed(result.int8.top5(), 2) << ", " << human_bytes(result.int8_bytes)
              << " on " << result.int8.images << " pictures" << std::endl;
  if (s.min_top1 && result.int8.top1() < *s.min_top1)
    throw Error(str("int8 top-1 ", fixed(result.int8.top1(), 2), " is below --min-top1 ",
                    fixed(*s.min_top1, 2)),
                "", 9);
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
