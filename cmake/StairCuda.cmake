# The kernels of NVIDIA GPUs, where they are wanted and a CUDA compiler is found.
if(NOT STAIR_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "STAIR_CUDA is '${STAIR_CUDA}', expected AUTO, ON or OFF")
endif()
if(STAIR_CUDA STREQUAL OFF)
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(STAIR_CUDA STREQUAL ON)
    message(FATAL_ERROR "STAIR_CUDA is ON and no CUDA compiler is found: put nvcc on PATH, or set CMAKE_CUDA_COMPILER")
  endif()
  message(STATUS "CUDA: no compiler found, built without")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90)  # and PTX of the last, for later ones
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "${CMAKE_CUDA_COMPILER} is ${CMAKE_CUDA_COMPILER_VERSION}, C++20 needs 12; -DSTAIR_CUDA=OFF builds without")
endif()
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know that nvcc has it
set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
find_package(CUDAToolkit REQUIRED)

file(GLOB_RECURSE cuda_files CONFIGURE_DEPENDS cuda/*.cu)
stair_library(cuda LINK stair_core)
target_sources(stair_cuda PRIVATE ${cuda_files})
target_link_libraries(stair_cuda PRIVATE CUDA::cudart_static)
# Without contraction the GPU gives the bits of the CPU for the same operations.
target_compile_options(stair_cuda PRIVATE
  "$<$<COMPILE_LANGUAGE:CUDA>:--fmad=false;--Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Werror,-ffp-contract=off>")
message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
