// Says where tensors lie. One of two files is linked: no_cuda_place.cpp (preset cpu) or
// cuda_place.cpp (preset gpu).
#pragma once
#include <ATen/ATen.h>

#include "cluster/buffer.hpp"

namespace trireme::parallel {

struct TensorPlace {
    cluster::Device device;
    /// on a GPU, the stream that libtorch now queues this thread's work on; otherwise null
    void* stream;
};

/// Loads libtorch's CUDA code and makes one of the visible GPUs the current one of this process: of
/// n, the one with number local_rank mod n, which it returns. Local. Throws InputError in a build
/// without CUDA, where that code cannot be loaded (with the loader's own words) and where no GPU is
/// visible.
int use_gpu(int local_rank);

/// Throws JobError if this build knows nothing of the tensor's device.
TensorPlace place_of(at::Tensor const& tensor);

/// Returns the stream on which a kernel of ours computes with a GPU's tensor. Throws as place_of.
void* stream_of(at::Tensor const& tensor);

} // namespace trireme::parallel
