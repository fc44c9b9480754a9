#include "core/error.h"
#include "cuda/device.h"
#include "cuda/device_memory.h"
#include "cuda/norm/batch_norm_phases.h"

namespace stair::cuda {
namespace {

template <class Phase>
__global__ void run_threads(Phase phase, int64_t threads) {
  const int64_t t = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (t < threads) phase(t);
}

struct Launch {
  template <class Phase>
  void operator()(int64_t threads, const Phase& phase) const {
    constexpr int64_t kBlock = 128;
    if (threads == 0) return;
    const auto blocks = static_cast<unsigned>((threads + kBlock - 1) / kBlock);
    run_threads<<<blocks, kBlock>>>(phase, threads);
    check(cudaGetLastError(), "launch batch_norm");
  }
};

template <class Args>
void run(const Args& a) {
  if (a.channels == 0) return;
  const DeviceArray<double> memory(Pass<Args>::workspace(a.rows, a.channels));
  run_phases(Pass<Args>(a, memory.data()), Launch());
}

}  // namespace

void batch_norm_forward(const BatchNormForwardArgs& a) {
  run(a);
}

void batch_norm_backward(const BatchNormBackwardArgs& a) {
  run(a);
}

void update_running(const RunningStatistics& r) {
  if (r.rows < 2)
    throw ShapeError(
        str("batch_norm: running statistics need more than one value a channel; got ", r.rows));
  Launch()(r.channels, UpdateRunning{r});
}

}  // namespace stair::cuda
