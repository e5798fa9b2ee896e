// The arithmetic of reduce_bf16 in cluster/reduce.cpp, one thread per element. C++17.
#include "cluster/bf16_sum.hpp"

#include <cuda_bf16.h>

namespace trireme::cluster {

namespace {

__global__ void sum(__nv_bfloat16 const* pieces, std::size_t n, std::size_t count,
                    __nv_bfloat16* out) {
    std::size_t const i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float total = __bfloat162float(pieces[i]);
    for (std::size_t p = 1; p < n; ++p) total += __bfloat162float(pieces[p * count + i]);
    out[i] = __float2bfloat16_rn(total);
}

} // namespace

bool sum_bf16_on_device(void const* pieces, std::size_t n, std::size_t count, void* out,
                        void* stream) {
    if (count == 0) return true;
    constexpr unsigned kThreads = 256;
    auto const blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
    sum<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        static_cast<__nv_bfloat16 const*>(pieces), n, count, static_cast<__nv_bfloat16*>(out));
    return cudaGetLastError() == cudaSuccess;
}

} // namespace trireme::cluster
