// Chooses the code that computes with a tensor: kernels of our own, which read host memory, or what
// every device has ("composed"): libtorch's operations, and the fused kernels whose bodies a GPU
// and the host compile alike (framework/kernels/fused).
#pragma once
#include <ATen/ATen.h>

#include <atomic>

namespace trireme::parallel {

/// Tests run what a GPU runs on tensors of the CPU, to compare it with the kernels.
inline std::atomic<bool> composed_everywhere{false};
/// While true, this thread's dry runs take the operations of a GPU.
inline thread_local bool dry_gpu = false;

/// Neither the host's memory nor none at all.
inline bool on_gpu(at::Tensor const& x) {
    return !x.is_cpu() && !x.is_meta();
}

inline bool composed(at::Tensor const& x) {
    return on_gpu(x) || (dry_gpu && x.is_meta()) ||
           composed_everywhere.load(std::memory_order_relaxed);
}

} // namespace trireme::parallel
