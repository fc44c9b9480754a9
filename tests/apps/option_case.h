// A small program's settings, and what comes out of parsing arguments for it.
#pragma once

#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "apps/program/options.h"
#include "core/error.h"

namespace stair::apps {

struct OptionCase {
  int epochs = 10;
  int64_t batch = 32;
  double lr = 0.1;
  std::optional<double> clip;
  std::optional<int64_t> classes;
  std::string data, weights, resume, optimizer = "sgd", scheduler = "cosine";
  std::vector<double> mean = {0.485, 0.456, 0.406};
  std::vector<std::string> skip;
  bool ema = false, flip = true;
  Options options{"qat_demo", "Shows flags."};
  std::ostringstream out;

  OptionCase() {
    options.group("Data");
    options.text(
        "--data-path,--data-dir", data,
        {.help = "folder", .value = "FOLDER", .environment = "STAIR_DEMO_DATA", .usual = true});
    options.integer("--batch-size,-b", batch, {1, 65536},
                    {.help = "pictures in a step", .usual = true});
    options.integer("--num-classes", classes, {1, 100000}, {.help = "outputs"});
    options.reals("--mean", mean, 3, {0, 1}, {.help = "of the channels"});
    options.group("Training");
    options.integer(
        "--epochs", epochs, {0, 100000},
        {.help = "passes over the set", .unit = "epochs", .environment = "STAIR_DEMO_EPOCHS"});
    options.real("--lr", lr, {.above_min = true}, {.help = "learning rate"});
    options.real("--clip-grad-norm", clip, {}, {.help = "largest norm"});
    options.choice("--opt", optimizer, {"sgd", "adam", "adamw"}, {.help = "optimizer"});
    options.choice("--lr-scheduler,--sched", scheduler, {"cosine", "steplr"}, {.help = "schedule"});
    options.flag("--model-ema", ema, {.help = "average the weights"});
    options.flag("--hflip", flip, {.help = "mirror pictures"});
    options.texts("--skip-layers", skip, {.help = "layers left in float"});
    options.text("--weights", weights, {.help = "start from", .value = "FILE"});
    options.text("--resume", resume, {.help = "go on from", .value = "FILE", .saved = false});
    options.contradiction("--resume", "--weights", "a checkpoint holds weights itself");
    options.renamed("batchsize", "batch-size");
    options.example("qat_demo --data-path pictures", "trains on a folder");
  }

  bool parse(const std::vector<std::string>& arguments) { return options.parse(arguments, out); }

  // "message | hint" of the ConfigError, or "accepted".
  std::string refusal(const std::vector<std::string>& arguments) {
    try {
      parse(arguments);
      return "accepted";
    } catch (const ConfigError& error) {
      return std::string(error.what()) + " | " + error.hint();
    }
  }
};

inline std::string refusal(const std::vector<std::string>& arguments) {
  return OptionCase().refusal(arguments);
}

}  // namespace stair::apps
