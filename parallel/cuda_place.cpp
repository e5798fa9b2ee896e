#include <c10/cuda/CUDAStream.h>

#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::parallel {

TensorPlace place_of(at::Tensor const& tensor) {
    if (tensor.is_cpu()) return {cluster::Device::host, nullptr};
    if (tensor.is_meta()) return {cluster::Device::none, nullptr};
    if (!tensor.is_cuda()) throw cluster::JobError("no collective takes a tensor on " + tensor.device().str());
    // libtorch's first stream is CUDA's default one, whose handle is null; this is its other name.
    cudaStream_t const stream = c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream();
    return {cluster::Device::cuda, stream ? stream : cudaStreamLegacy};
}

} // namespace trireme::parallel
