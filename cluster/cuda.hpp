// One CUDA call and one check. Included by device files only.
#pragma once
#include <cuda_runtime.h>

namespace trireme::cluster {

/// Throws JobError with the host and CUDA's own text.
void check_cuda(cudaError_t code, char const* call);

inline cudaStream_t as_stream(void* handle) {
    return static_cast<cudaStream_t>(handle);
}

} // namespace trireme::cluster
