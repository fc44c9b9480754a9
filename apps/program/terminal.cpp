#include "apps/program/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace stair::apps {
namespace {

constexpr int kNarrowest = 20;

std::string_view environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

}  // namespace

Terminal terminal_of(int descriptor) {
  const std::string_view term = environment("TERM");
  if (isatty(descriptor) == 0 || term.empty() || term == "dumb") return {};
  Terminal terminal{true, environment("NO_COLOR").empty(), 80};
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.width = size.ws_col;
  if (terminal.width < kNarrowest) terminal.moving = false;
  return terminal;
}

}  // namespace stair::apps
