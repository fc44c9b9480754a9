// Marks functions that run on the GPU, and on the CPU where plain C++ includes them.
#pragma once

#ifdef __CUDACC__
#define STAIR_HOST_DEVICE __host__ __device__
#else
#define STAIR_HOST_DEVICE
#endif
