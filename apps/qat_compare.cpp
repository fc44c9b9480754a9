// Compares two forms of a network layer by layer on the same pictures.
#include <iostream>

#include "apps/program/options.h"
#include "apps/program/report.h"
#include "apps/program/run_main.h"
#include "apps/train/compare.h"
#include "apps/train/data.h"
#include "apps/train/histograms.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/text.h"

namespace stair::apps {
namespace {

struct Settings {
  std::string a, b, histograms;
  DataConfig data;
  ModelConfig model;
  int threads = 0;
  std::optional<double> min_sqnr;
  bool shadow = false;
};

void add_flags(Options& options, Settings& s) {
  const char* kinds = "a run folder, checkpoint, int8 file or weights (safetensors)";
  options.positional("A", s.a,
                     {.help = str("the reference: ", kinds), .required = true, .usual = true});
  options.positional("B", s.b, {.help = kinds, .required = true, .usual = true});
  s.data.eval_batch_size = 32;
  s.data.eval_batches = 4;
  add_data_flags(options, s.data);
  add_model_flags(options, s.model);
  options.group("Output");
  options.text("--histograms", s.histograms,
               {.help = "write histograms of all values and weights (JSON)",
                .value = "FILE",
                .usual = true});
  options.flag(
      "--shadow", s.shadow,
      {.help = "list also the error of each layer of B alone: on the values that A has for "
               "its inputs",
       .usual = true});
  options.real("--min-sqnr", s.min_sqnr, {.min = -1000, .max = 1000},
               {.help = "exit 9 when a layer's values are below", .unit = "dB"});
  options.integer("--threads", s.threads, {.min = 0, .max = 4096},
                  {.help = "of computing, 0: all cores", .environment = "STAIR_NUM_THREADS"});
  options.example("qat_compare runs/resnet18 runs/resnet18/last.int8 --data-path imagenet",
                  "shows that the int8 file computes the codes of training");
  options.example("qat_compare resnet20.safetensors ptq.int8 --model resnet20 --data-path cifar10",
                  "shows which layers quantization hurts");
  options.example("qat_compare resnet20.safetensors ptq.int8 --model resnet20 --shadow",
                  "shows what each layer adds by itself");
}

void check_sqnr(const Comparison& comparison, double least) {
  for (const ComparedLayer& layer : comparison.values)
    if (layer.difference.sqnr() < least)
      throw Error(str("layer '", layer.name, "' has ", fixed(layer.difference.sqnr(), 2),
                      " dB, below --min-sqnr ", fixed(least, 2)),
                  "", 9);
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_compare", "Compares two forms of a network, layer by layer.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  if (s.threads > 0) set_num_threads(s.threads);
  complete_data(s.data, s.model, options);
  const Datasets first = open_datasets(s.data, false);
  const auto classes = static_cast<int64_t>(first.class_names.size());
  const ScoredFile a = open_scored_file(s.a, s.model, s.data, classes, options);
  ScoredFile b = open_scored_file(s.b, s.model, a.data, classes, options);
  if (s.shadow && b.form == "qat")
    b.session =
        std::make_shared<qat::Int8Session>(deploy(*b.graph, b.model, b.data, b.class_names));
  const DataConfig data = common_preparation(a, b);
  const Datasets sets = datasets_for(data, first);
  data::Loader loader(sets.val, val_transform(data), val_loader_options(data));
  Histograms histograms;
  SeenValue seen;
  if (!s.histograms.empty())
    seen = [&](const char* network, const char* kind, const std::string& name,
               const Tensor& value) { histograms.add(network, kind, name, value); };
  const Comparison comparison = compare(a, b, loader, seen, s.shadow);
  if (!s.histograms.empty())
    write_file(s.histograms, std::string_view(histograms.to_json().dump(1)));
  if (options.json())
    std::cout << to_json(comparison).dump() << std::endl;
  else
    std::cout << "A: " << a.form << " " << printable(s.a) << "\nB: " << b.form << " "
              << printable(s.b) << "\n"
              << to_string(comparison) << std::flush;
  if (s.min_sqnr) check_sqnr(comparison, *s.min_sqnr);
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
