// Trains a network for int8: float epochs, quantization-aware epochs, int8 files.
#include "apps/program/options.h"
#include "apps/program/run_main.h"
#include "apps/train/quark.h"
#include "apps/train/trainer.h"

namespace stair::apps {
namespace {

int run(const std::vector<std::string>& arguments) {
  TrainConfig config;
  Options options("qat_train",
                  "Trains a network so that its int8 form is as accurate as the float one.");
  QuarkFlags quark;
  add_train_flags(options, config);
  add_quark_flags(options, quark);
  options.example("qat_train", "trains resnet20 on drawn pictures: the whole job in a few minutes");
  options.example("qat_train --model resnet18 --epochs 10 --data-path imagenet",
                  "float, then QAT, on a folder of classes");
  options.example("qat_train --model resnet18 --epochs 10 --data-path imagenet --resume auto",
                  "goes on where it was stopped");
  if (!options.parse(arguments)) return 0;
  const bool by_quark = apply(quark, options, config);
  complete(config, options);
  if (by_quark && !trains(quark)) return calibrate_and_freeze(config, options);
  return Trainer(config, options, arguments).run();
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
