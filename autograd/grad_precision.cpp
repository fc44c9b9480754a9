#include "autograd/grad_precision.h"

#include <atomic>

#include "core/cpu.h"
#include "core/error.h"

namespace stair::autograd {
namespace {

constexpr GradPrecision kAll[] = {GradPrecision::f32, GradPrecision::bf16x2, GradPrecision::bf16};

std::atomic<GradPrecision> active{GradPrecision::f32};

}  // namespace

const char* name(GradPrecision precision) {
  switch (precision) {
    case GradPrecision::f32:
      return "f32";
    case GradPrecision::bf16x2:
      return "bf16x2";
    case GradPrecision::bf16:
      return "bf16";
  }
  return "?";
}

std::vector<std::string> grad_precision_names() {
  std::vector<std::string> names;
  for (GradPrecision precision : kAll) names.emplace_back(name(precision));
  return names;
}

GradPrecision grad_precision_named(const std::string& text) {
  for (GradPrecision precision : kAll)
    if (text == name(precision)) return precision;
  throw ConfigError(str("'", text, "' is no precision of gradients"), "use f32, bf16x2 or bf16");
}

GradPrecision default_grad_precision() {
  return active_isa() >= Isa::amx ? GradPrecision::bf16x2 : GradPrecision::f32;
}

GradPrecision grad_precision() {
  return active.load(std::memory_order_relaxed);
}

void set_grad_precision(GradPrecision precision) {
  active.store(precision, std::memory_order_relaxed);
}

}  // namespace stair::autograd
