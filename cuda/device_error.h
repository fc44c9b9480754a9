// What a failed call of the CUDA runtime means to the user.
#pragma once

#include <string>

namespace stair::cuda {

struct Failure {
  int code;                // a cudaError_t
  std::string name;        // of the code: "cudaErrorNoDevice"
  std::string operation;   // what was tried: "look for a GPU"
  int driver, runtime;     // versions: 1000 * major + 10 * minor; 0: not installed
  std::string capability;  // of the GPU: "8.6"; empty where there is none
};

// Throws DeviceError; MemoryError where the memory of the GPU is used up; Error (exit code 1) where
// a kernel went wrong, a defect of ours.
[[noreturn]] void throw_device_error(const Failure& f);

}  // namespace stair::cuda
