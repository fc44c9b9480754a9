// Modules as text, as torch prints them.
#pragma once

#include <functional>
#include <optional>

#include "nn/module.h"

namespace stair::nn {

// What to print for a module in place of its own line and those of its children; nothing: its own.
using ModuleText =
    std::function<std::optional<std::string>(const std::string& path, const Module&)>;

// "Net(\n  (conv): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n  ...)". The
// name of a module is that of its class.
std::string to_text(const Module& module, const ModuleText& instead = {});

// The settings of a layer, what stands in its brackets; empty where it has none.
std::string settings_text(const Module& module);

}  // namespace stair::nn
