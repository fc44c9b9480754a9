#include "nn/print_module.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <typeinfo>

#include "nn/layers/batch_norm2d.h"
#include "nn/layers/conv2d.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"

namespace stair::nn {
namespace {

std::string class_name(const Module& module) {
  int status = 0;
  char* text = abi::__cxa_demangle(typeid(module).name(), nullptr, nullptr, &status);
  std::string name = status == 0 ? text : typeid(module).name();
  std::free(text);
  return name.substr(name.rfind(':') == std::string::npos ? 0 : name.rfind(':') + 1);
}

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string pair(int64_t a, int64_t b) {
  return str('(', a, ", ", b, ')');
}

std::string conv_text(const Conv2d& conv) {
  const autograd::Conv2dOptions& o = conv.options();
  const Shape& w = conv.weight().shape();
  std::string text = str(w[3] * o.groups, ", ", w[0], ", kernel_size=", pair(w[1], w[2]),
                         ", stride=", pair(o.stride[0], o.stride[1]));
  if (o.padding != std::array<int64_t, 4>{}) {
    const bool even = o.padding[0] == o.padding[2] && o.padding[1] == o.padding[3];
    text += even ? ", padding=" + pair(o.padding[0], o.padding[1])
                 : str(", padding=(", o.padding[0], ", ", o.padding[1], ", ", o.padding[2], ", ",
                       o.padding[3], ')');
  }
  if (o.dilation != std::array<int64_t, 2>{1, 1})
    text += ", dilation=" + pair(o.dilation[0], o.dilation[1]);
  if (o.groups != 1) text += str(", groups=", o.groups);
  return conv.bias().defined() ? text : text + ", bias=False";
}

// Lines after the first begin two blanks further in.
std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string text_of(const std::string& path, const Module& module, const ModuleText& instead) {
  if (instead)
    if (const auto text = instead(path, module)) return *text;
  std::string text = class_name(module) + "(" + settings_text(module);
  for (const auto& [name, child] : module.children())
    text += str("\n  (", name,
                "): ", indented(text_of(path.empty() ? name : path + "." + name, *child, instead)));
  return text + (module.children().empty() ? ")" : "\n)");
}

}  // namespace

std::string settings_text(const Module& module) {
  if (const auto* conv = dynamic_cast<const Conv2d*>(&module)) return conv_text(*conv);
  if (const auto* linear = dynamic_cast<const Linear*>(&module))
    return str("in_features=", linear->weight().size(1),
               ", out_features=", linear->weight().size(0),
               ", bias=", linear->bias().defined() ? "True" : "False");
  if (const auto* bn = dynamic_cast<const BatchNorm2d*>(&module))
    return str(bn->channels(), ", eps=", short_number(bn->eps()),
               ", momentum=", short_number(bn->momentum()),
               ", affine=True, track_running_stats=True");
  if (const auto* dropout = dynamic_cast<const Dropout*>(&module))
    return str("p=", short_number(dropout->p()));
  return "";
}

std::string to_text(const Module& module, const ModuleText& instead) {
  return text_of("", module, instead);
}

}  // namespace stair::nn
