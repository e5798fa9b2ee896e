// Where tensors lie. One of two files is linked: no_cuda_place.cpp (preset cpu) or cuda_place.cpp (preset gpu).
#pragma once
#include <ATen/ATen.h>

#include "cluster/buffer.hpp"

namespace trireme::parallel {

struct TensorPlace {
    cluster::Device device;
    void* stream; ///< of a GPU: what libtorch queues for the tensor from this thread now goes there; otherwise null
};

/// Throws JobError if this build knows nothing of the tensor's device.
TensorPlace place_of(at::Tensor const& tensor);

} // namespace trireme::parallel
