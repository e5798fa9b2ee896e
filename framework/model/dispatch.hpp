// at::Tensor <-> the typed pointers of framework/kernels.
#pragma once
#include <ATen/ATen.h>

#include "cluster/error.hpp"

namespace trireme::framework::model {

/// Contiguous, and float32 where the tensor is bfloat16: the kernels compute in float32 or float64.
inline at::Tensor for_kernel(at::Tensor const& x) {
    return x.to(x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type()).contiguous();
}

template <typename T>
T const* read(at::Tensor const& x) {
    return x.const_data_ptr<T>();
}
template <typename T>
T* write(at::Tensor const& x) {
    return x.mutable_data_ptr<T>();
}

/// Calls f with x's data as float const* or double const*. On the meta device (dry runs: shapes
/// without memory) there is nothing to compute.
template <typename F>
void by_dtype(at::Tensor const& x, F const& f) {
    if (x.is_meta()) return;
    if (x.scalar_type() == at::kFloat)
        f(read<float>(x));
    else if (x.scalar_type() == at::kDouble)
        f(read<double>(x));
    else
        throw cluster::JobError(std::string("no kernel for dtype ") +
                                at::toString(x.scalar_type()));
}

} // namespace trireme::framework::model
