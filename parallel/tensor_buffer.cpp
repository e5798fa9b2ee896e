#include "parallel/tensor_buffer.hpp"

#include "cluster/error.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::parallel {

namespace {
cluster::DType dtype_of(at::ScalarType type) {
    switch (type) {
    case at::kByte: return cluster::DType::u8;
    case at::kInt: return cluster::DType::i32;
    case at::kLong: return cluster::DType::i64;
    case at::kBFloat16: return cluster::DType::bf16;
    case at::kFloat: return cluster::DType::f32;
    case at::kDouble: return cluster::DType::f64;
    default:
        throw cluster::JobError(std::string("no collective takes dtype ") + c10::toString(type));
    }
}
} // namespace

cluster::Buffer buffer_of(at::Tensor const& tensor) {
    if (!tensor.is_contiguous())
        throw cluster::JobError("a collective takes contiguous tensors only");
    TensorPlace const place = place_of(tensor);
    return {place.device == cluster::Device::none ? nullptr : tensor.data_ptr(),
            static_cast<std::size_t>(tensor.numel()), dtype_of(tensor.scalar_type()), place.device,
            place.stream};
}

void finish(cluster::Work& work, at::Tensor const& tensor) {
    if (void* const stream = place_of(tensor).stream)
        work.wait(stream);
    else
        work.wait();
}

} // namespace trireme::parallel
