// Shows versions, processor, threads and kernels: the text to paste into a report of a defect.
#include <iostream>

#include "apps/program/environment.h"
#include "apps/program/options.h"
#include "apps/program/run_main.h"
#include "autograd/grad_precision.h"
#include "autograd/kernel_list.h"
#include "core/text.h"

namespace stair::apps {
namespace {

void print_text(const Json& environment, bool all_kernels) {
  for (const auto& [key, value] : environment.as_object())
    if (key != "kernels")
      std::cout << key << ": " << (value.is_string() ? value.as_string() : value.dump()) << '\n';
  std::cout << (all_kernels ? "kernels (* is tried first):\n" : "kernels that are tried first:\n");
  for (const autograd::KernelInfo& kernel : autograd::kernel_list())
    if (kernel.first || all_kernels)
      std::cout << (all_kernels && kernel.first ? " *" : "  ") << kernel.op << ": " << kernel.name
                << '\n';
}

int run(const std::vector<std::string>& arguments) {
  bool all_kernels = false;
  Options options("qat_env", "Shows versions, processor, threads and the kernels chosen.");
  options.group("Output");
  options.flag("--all-kernels", all_kernels,
               {.help = "every kernel of the build, not only those tried first", .usual = true});
  options.example("qat_env", "shows the environment");
  options.example("STAIR_ISA=avx2 qat_env --all-kernels",
                  "shows every kernel, and which are chosen without AVX-512");
  options.example("qat_env --json", "the same as one JSON object");
  if (!options.parse(arguments)) return 0;
  autograd::set_grad_precision(autograd::default_grad_precision());
  const Json environment = apps::environment();
  if (options.json())
    std::cout << environment.dump() << '\n';
  else
    print_text(environment, all_kernels);
  return 0;
}

}  // namespace
}  // namespace stair::apps

int main(int argc, char** argv) {
  return stair::apps::run_main(argc, argv, stair::apps::run);
}
