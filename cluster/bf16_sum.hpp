// Sums of bf16 on the device, since NCCL's own are rounded at every hop.
#pragma once
#include <cstddef>

namespace trireme::cluster {

/// out[i] = the sum of pieces[p * count + i] over p < n, from left to right in float32, rounded
/// once (to nearest even). Both are bf16 on the device; `out` may not overlap `pieces`. The sum is
/// queued on `stream` (a cudaStream_t). Returns false if the launch was refused.
bool sum_bf16_on_device(void const* pieces, std::size_t n, std::size_t count, void* out,
                        void* stream);

} // namespace trireme::cluster
