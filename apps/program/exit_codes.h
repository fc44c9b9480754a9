// What the programs end with. docs/errors.md lists the same table.
#pragma once

namespace stair::apps {

struct ExitCode {
  int code;
  const char* meaning;
};

inline constexpr ExitCode kExitCodes[] = {
    {0, "done"},
    {1, "a defect of the program"},
    {2, "flags or configuration that cannot be used"},
    {3, "input data that cannot be used"},
    {4, "model, weights, checkpoint or graph file that cannot be used"},
    {5, "output that cannot be written"},
    {6, "out of memory"},
    {7, "device or instruction set missing or unusable"},
    {8, "NaN or infinity where numbers are needed"},
    {9, "a requested gate was missed"},
    {130, "stopped by SIGINT, state saved"},
    {143, "stopped by SIGTERM or SIGHUP, state saved"},
};

}  // namespace stair::apps
