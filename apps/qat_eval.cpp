// Scores a float, QAT or int8 file.
#include <algorithm>
#include <iostream>

#include "apps/program/options.h"
#include "apps/program/progress.h"
#include "apps/program/report.h"
#include "apps/program/run_main.h"
#include "apps/train/data.h"
#include "apps/train/trace.h"
#include "core/parallel.h"
#include "core/safetensors.h"
#include "core/text.h"

namespace stair::apps {
namespace {

struct Settings {
  std::string file, logits, expect_logits, trace;
  DataConfig data;
  ModelConfig model;
  int threads = 0;
  bool pin = false;
  std::optional<double> min_top1;
};

void add_flags(Options& options, Settings& s) {
  options.positional(
      "FILE", s.file,
      {.help = "weights, checkpoint or int8 graph", .required = true, .usual = true});
  add_data_flags(options, s.data);
  add_model_flags(options, s.model);
  options.group("Output");
  options.text("--logits", s.logits,
               {.help = "write logits and labels, in sorted path order (safetensors)",
                .value = "FILE",
                .usual = true});
  options.text("--expect-logits", s.expect_logits,
               {.help = "exit 9 unless each logit equals that of this --logits file bit for bit",
                .value = "FILE"});
  options.text("--trace", s.trace,
               {.help = "write pictures, logits and the first batch's codes (safetensors)",
                .value = "FILE"});
  options.real("--min-top1", s.min_top1, {.min = 0, .max = 100},
               {.help = "exit 9 below this top-1", .unit = "percent"});
  options.integer("--threads", s.threads, {.min = 0, .max = 4096},
                  {.help = "of computing, 0: all cores", .environment = "STAIR_NUM_THREADS"});
  options.flag("--pin", s.pin, {.help = "keep each computing thread on a core of its own"});
  options.example("qat_eval runs/resnet18/best.int8 --data-path imagenet",
                  "scores an int8 file on the val folder");
  options.example(
      "qat_eval resnet20.safetensors --model resnet20 --data-path cifar10 --val-dir test",
      "scores float weights");
}

Json to_json(const ScoredFile& file, const Score& score, const data::Loader& loader) {
  Json j = Json::object();
  j.set("form", file.form);
  j.set("top1", score.top1());
  j.set("top5", score.top5());
  j.set("loss", json_number(score.loss));
  j.set("images", score.images);
  j.set("images_per_second", json_number(score.images_per_second()));
  j.set("bytes", file.bytes);
  j.set("skipped_files", loader.dataset().skipped_files());
  j.set("damaged", loader.summary().damaged);
  j.set("bad_samples", loader.summary().bad.size());
  return j;
}

// Throws Error with exit code 9.
void expect_equal(const Tensor& logits, const std::string& path) {
  const SafeTensors file = read_safetensors(path);
  const Tensor& expected = file.at("logits");
  const std::string quoted_path = str("'", printable(path), "'");
  if (expected.dtype() != logits.dtype() || expected.shape() != logits.shape())
    throw Error(str("logits are ", logits.shape(), ", those of ", quoted_path, " are ",
                    expected.dtype(), " ", expected.shape()),
                "", 9);
  const auto *got = logits.data<float>(), *want = expected.data<float>();
  const auto* first = std::mismatch(got, got + logits.numel(), want).first;
  if (first == got + logits.numel()) return;
  const int64_t at = first - got, classes = logits.size(1);
  throw Error(str("logit ", at % classes, " of picture ", at / classes, " is ", *first, ", in ",
                  quoted_path, " it is ", want[at]),
              "", 9);
}

int run(const std::vector<std::string>& arguments) {
  Settings s;
  Options options("qat_eval", "Scores a float, QAT or int8 file: top-1, top-5, size and speed.");
  add_flags(options, s);
  if (!options.parse(arguments)) return 0;
  if (s.threads > 0) set_num_threads(s.threads);
  if (s.pin) pin_threads();
  complete_data(s.data, s.model, options);
  const Datasets first = open_datasets(s.data, false);
  ScoredFile file = open_scored_file(s.file, s.model, s.data,
                                     static_cast<int64_t>(first.class_names.size()), options);
  const Datasets sets = datasets_for(file.data, first);
  data::Loader loader(sets.val, val_transform(file.data), val_loader_options(file.data));
  Progress progress(std::cerr, {terminal_of(2), 50, options.quiet(), "img"}, file.form,
                    loader.batches());
  EvaluateOptions how;
  how.keep_logits = !s.logits.empty() || !s.expect_logits.empty() || !s.trace.empty();
  std::optional<Trace> trace;
  if (!s.trace.empty()) trace.emplace(file);
  int64_t batches = 0, seen = 0;
  how.progress = [&](int64_t done) {
    progress.update(++batches, done - seen);
    seen = done;
    return true;
  };
  const Score score = evaluate({file.network}, loader, how)[0];
  progress.finish();
  if (const int64_t skipped = sets.val->skipped_files(); skipped > 0 && !options.quiet())
    std::cerr << skipped << " files skipped by suffix" << std::endl;
  if (const std::string line = tolerated("val", loader.summary());
      !line.empty() && !options.quiet())
    std::cerr << line << std::endl;
  if (!s.logits.empty()) {
    const NamedTensor tensors[] = {{"logits", score.logits}, {"labels", score.labels}};
    write_safetensors(s.logits, tensors, {{"form", file.form}});
  }
  if (trace) trace->write(s.trace, score.logits);
  if (options.json())
    std::cout << to_json(file, score, loader).dump() << std::endl;
  else
    std::cout << printable(s.file) << ": " << file.form << ", " << human_bytes(file.bytes)
              << " | top-1 " << fixed(score.top1(), 2) << " top-5 " << fixed(score.top5(), 2)
              << " on " << score.images << " pictures | " << fixed(score.images_per_second(), 0)
              << " img/s" << std::endl;
  if (!s.expect_logits.empty()) expect_equal(score.logits, s.expect_logits);
  if (s.min_top1 && score.top1() < *s.min_top1)
    throw Error(
        str("top-1 ", fixed(score.top1(), 2), " is below --min-top1 ", fixed(*s.min_top1, 2)), "",
        9);
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
