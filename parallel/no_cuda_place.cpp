#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::parallel {

int use_gpu(int) {
    throw cluster::InputError(
        "parallel.device: cuda: this build has no CUDA; legal here: cpu; build it with: "
        "launch/setup --gpu-libraries && cmake --preset gpu && cmake --build build");
}

TensorPlace place_of(at::Tensor const& tensor) {
    if (tensor.is_cpu()) return {cluster::Device::host, nullptr};
    if (tensor.is_meta()) return {cluster::Device::none, nullptr};
    throw cluster::JobError("a tensor on " + tensor.device().str() +
                            " in a build without CUDA: cmake --preset gpu");
}

void* stream_of(at::Tensor const& tensor) {
    return place_of(tensor).stream;
}

} // namespace trireme::parallel
