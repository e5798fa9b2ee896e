// Tensors to the fused kernels of a GPU (framework/kernels/fused): one launch each, told to whoever
// counts (parallel/launches.hpp). Tensors of the CPU are computed by the same bodies, those of the
// meta device not at all.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "cluster/error.hpp"
#include "framework/kernels/fused/programs.hpp"
#include "framework/kernels/random.hpp"
#include "parallel/launches.hpp"
#include "parallel/tensor_place.hpp"

namespace trireme::framework::model::fused {

using kernels::fused::BFloat16;
using kernels::fused::Sum;

/// Returns where the tensor's numbers lie; null for none.
template <typename T>
T* numbers(at::Tensor const& x) {
    return x.defined() ? static_cast<T*>(x.mutable_data_ptr()) : nullptr;
}

/// The dtype in which numbers of `x` are summed.
inline at::TensorOptions sums_of(at::Tensor const& x) {
    return x.options().dtype(x.scalar_type() == at::kBFloat16 ? at::kFloat : x.scalar_type());
}

template <typename Program>
void queue(char const* name, Program const& program, at::Tensor const& place) {
    if (program.rows() == 0) return; // rows without columns count: a rank may have no class
    if (place.is_cpu()) return kernels::fused::run_on_host(program);
    if (!kernels::fused::launch(program, parallel::stream_of(place)))
        throw cluster::JobError(std::string("the GPU refused ") + name);
}

/// Tensors that a kernel reads and writes, as its launch is told; undefined ones are none.
struct Effects {
    at::ArrayRef<at::Tensor> read, written;
};

/// Runs make(T{}), a program for tensors like `place` of dtype T: bfloat16, float32 or float64.
template <typename Make>
void run(char const* name, at::Tensor const& place, Effects const& effects, Make const& make) {
    parallel::note_kernel(name, effects.read, effects.written);
    if (place.is_meta()) return;
    switch (place.scalar_type()) {
    case at::kBFloat16: return queue(name, make(BFloat16{}), place);
    case at::kFloat: return queue(name, make(float{}), place);
    case at::kDouble: return queue(name, make(double{}), place);
    default:
        throw cluster::JobError(std::string(name) + ": no kernel for dtype " +
                                at::toString(place.scalar_type()));
    }
}

/// Runs make(S{}) likewise, for float32 or float64.
template <typename Make>
void run_on_sums(char const* name, at::Tensor const& place, Effects const& effects,
                 Make const& make) {
    parallel::note_kernel(name, effects.read, effects.written);
    if (place.is_meta()) return;
    place.scalar_type() == at::kDouble ? queue(name, make(double{}), place)
                                       : queue(name, make(float{}), place);
}

/// The dropout of rows that are tokens `positions` of `samples`, int64; of none where p is 0.
inline kernels::fused::Dropout dropout_of(kernels::DropoutKey const& key, at::Tensor const& samples,
                                          at::Tensor const& positions) {
    if (key.probability <= 0 || samples.is_meta()) return {};
    return {key.key, static_cast<std::uint32_t>(std::min(key.probability * 0x1p32, 0x1p32 - 1)),
            1.0 / (1.0 - key.probability), numbers<std::int64_t>(samples),
            numbers<std::int64_t>(positions)};
}

} // namespace trireme::framework::model::fused
