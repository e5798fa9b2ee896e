#include <ATen/Context.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <dlfcn.h>

#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::parallel {

int use_gpu(int local_rank) {
    // Loaded when a run asks for it and not linked, so that a GPU build also starts where no
    // library of CUDA's is.
    static void* const library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        throw cluster::InputError(
            std::string("parallel.device: cuda: libtorch's CUDA code cannot be loaded: ") +
            dlerror() + "; its libraries come with: launch/setup --gpu-libraries");
    int const count = c10::cuda::device_count();
    if (count == 0)
        throw cluster::InputError(
            "parallel.device: cuda: no GPU is visible to this process; legal here: cpu; does the "
            "job ask for GPUs, and does CUDA_VISIBLE_DEVICES name any?");
    at::globalContext().lazyInitDevice(at::kCUDA);
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(local_rank % count));
    return local_rank % count;
}

TensorPlace place_of(at::Tensor const& tensor) {
    if (tensor.is_cpu()) return {cluster::Device::host, nullptr};
    if (tensor.is_meta()) return {cluster::Device::none, nullptr};
    if (!tensor.is_cuda())
        throw cluster::JobError("no collective takes a tensor on " + tensor.device().str());
    // libtorch's first stream is CUDA's default one, whose handle is null; this is its other name.
    cudaStream_t const stream = c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream();
    return {cluster::Device::cuda, stream ? stream : cudaStreamLegacy};
}

void* stream_of(at::Tensor const& tensor) {
    return place_of(tensor).stream;
}

} // namespace trireme::parallel
