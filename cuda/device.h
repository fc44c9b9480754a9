// The GPU that calls go to.
#pragma once

#include <string>

namespace stair::cuda {

// Throws DeviceError, with the reason and what to do, unless there is a GPU that can be used.
void require_device();

// Throws what device_error.h makes of `code`, a result of the CUDA runtime, unless it is success.
void check(int code, const std::string& operation);

}  // namespace stair::cuda
