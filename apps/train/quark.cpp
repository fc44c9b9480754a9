#include "apps/train/quark.h"

#include <iostream>

#include "apps/program/report.h"
#include "apps/train/frozen.h"
#include "apps/train/ptq.h"

namespace stair::apps {
namespace {

constexpr int64_t kCalibrationBatches = 10;

bool on(const std::string& flag) {
  return flag == "True";
}

}  // namespace

void add_quark_flags(Options& options, QuarkFlags& flags) {
  options.group("Spelling of AMD Quark's example (calibrates, freezes, compares, exports)");
  options.text("--pretrained", flags.pretrained,
               {.help = "weights; without --qat True ten batches calibrate and nothing trains",
                .value = "FILE",
                .saved = false});
  const std::vector<std::string> truth = {"True", "False"};
  options.choice("--qat", flags.qat, truth, {.help = "train", .saved = false});
  options.choice("--lsq", flags.lsq, truth, {.help = "train with --quantizer lsq", .saved = false});
  options.choice("--tqt", flags.tqt, truth, {.help = "train with --preset tqt", .saved = false});
  options.contradiction("--pretrained", "--weights", "both name the weights");
  options.contradiction("--pretrained", "--resume", "a checkpoint has its own weights");
}

bool trains(const QuarkFlags& flags) {
  return on(flags.qat) || on(flags.lsq) || on(flags.tqt);
}

bool apply(const QuarkFlags& flags, const Options& options, TrainConfig& c) {
  if (flags.pretrained.empty() && flags.qat.empty() && flags.lsq.empty() && flags.tqt.empty())
    return false;
  if (on(flags.lsq) && on(flags.tqt))
    refuse_both("--lsq True", "--tqt True", "they are two quantizers");
  for (const char* name : {"--preset", "--quantizer"})
    if ((on(flags.lsq) || on(flags.tqt)) && options.given(name))
      refuse_both(name, on(flags.lsq) ? "--lsq True" : "--tqt True", "both choose the quantizer");
  if (!flags.pretrained.empty()) c.model.weights = flags.pretrained;
  if (!options.given("--preset")) c.preset = on(flags.tqt) ? "tqt" : "quark";
  if (on(flags.lsq)) c.quantizer = "lsq";
  if (!options.given("--w-observer")) c.w_observer = "minmax";
  if (!options.given("--a-observer")) c.a_observer = "minmax";
  c.exported.check_freeze = true;
  return true;
}

int calibrate_and_freeze(const TrainConfig& c, const Options& options) {
  PtqConfig ptq;
  ptq.data = c.data;
  ptq.model = c.model;
  ptq.preset = c.preset;
  ptq.calib_batches = kCalibrationBatches;
  ptq.wbits = c.wbits;
  ptq.abits = c.abits;
  ptq.observer = c.a_observer;
  ptq.w_observer = c.w_observer;
  ptq.layers = c.layers;
  ptq.output = c.output_dir + "/ptq.int8";
  ptq.check_freeze = true;
  check_export(c.exported, c.model.model, c.overwrite);
  const auto say = [&](const std::string& text) {
    if (!options.quiet()) std::cerr << text << std::endl;
  };
  const PtqResult result = run_ptq(ptq, say);
  for (const std::string& path : export_frozen(c.exported, c.model.model, result.graph))
    say("wrote " + path);
  if (options.json())
    std::cout << Json::object()
                     .set("float_top1", result.real.top1())
                     .set("int8_top1", result.int8.top1())
                     .set("images", result.int8.images)
                     .dump()
              << std::endl;
  else
    std::cout << "float top-1 " << fixed(result.real.top1(), 2) << ", quantized and frozen "
              << fixed(result.int8.top1(), 2) << " on " << result.int8.images << " pictures | "
              << ptq.output << std::endl;
  return 0;
}

}  // namespace stair::apps
