#include "nn/print_module.h"

#include <gtest/gtest.h>

#include "nn/layers/activation.h"
#include "nn/layers/batch_norm2d.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequential.h"

namespace stair::nn {
namespace {

class QM final : public Module {
 public:
  QM() {
    register_module("conv", std::make_shared<Conv2d>(1, 1, ConvConfig{}));
    register_module("bn", std::make_shared<BatchNorm2d>(1));
    register_module("head", std::make_shared<Sequential>(std::vector<std::shared_ptr<Module>>{
                                std::make_shared<Dropout>(0.2), std::make_shared<Linear>(4, 2)}));
    register_module("relu", std::make_shared<ReLU>());
  }
  Variable forward(const Variable& x) override { return x; }
};

TEST(PrintModule, PrintsAsTorchDoes) {
  EXPECT_EQ(to_text(QM()),
            "QM(\n"
            "  (conv): Conv2d(1, 1, kernel_size=(1, 1), stride=(1, 1))\n"
            "  (bn): BatchNorm2d(1, eps=1e-05, momentum=0.1, affine=True, "
            "track_running_stats=True)\n"
            "  (head): Sequential(\n"
            "    (0): Dropout(p=0.2)\n"
            "    (1): Linear(in_features=4, out_features=2, bias=True)\n"
            "  )\n"
            "  (relu): ReLU()\n"
            ")");
}

TEST(PrintModule, SaysWhatDiffersFromTheUsual) {
  ConvConfig config = square_window(3, 2, 1);
  config.options.groups = 4;
  config.options.dilation = {2, 2};
  config.bias = false;
  EXPECT_EQ(to_text(Conv2d(8, 4, config)),
            "Conv2d(8, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), "
            "groups=4, bias=False)");
  config.options.padding = {0, 0, 1, 1};
  EXPECT_NE(to_text(Conv2d(8, 4, config)).find("padding=(0, 0, 1, 1)"), std::string::npos);
}

TEST(PrintModule, PrintsSomethingElseInstead) {
  const ModuleText instead = [](const std::string& path,
                                const Module&) -> std::optional<std::string> {
    if (path == "head.1") return "A(\n  (0): B()\n)";
    return std::nullopt;
  };
  EXPECT_NE(to_text(QM(), instead).find("    (1): A(\n      (0): B()\n    )\n"), std::string::npos)
      << to_text(QM(), instead);
}

}  // namespace
}  // namespace stair::nn
