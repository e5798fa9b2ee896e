// at::Tensor -> cluster::Buffer, and the end of a collective on it. Contiguity, dtype and device
// are checked here and nowhere else.
#pragma once
#include <ATen/ATen.h>

#include "cluster/buffer.hpp"
#include "cluster/work.hpp"

namespace trireme::parallel {

/// The memory of a contiguous tensor, with the current stream where it is a GPU's; none for one on
/// the meta device, which only the fake communicator takes. The tensor must live until `finish`.
/// Throws JobError otherwise.
cluster::Buffer buffer_of(at::Tensor const& tensor);

/// Makes what is computed with `tensor` from now on come after `work`: the current stream waits for
/// it, and on the CPU the host. The tensors of the call may go then, since libtorch hands their
/// memory out again in the order of the stream.
void finish(cluster::Work& work, at::Tensor const& tensor);
inline void finish(cluster::Work&& work, at::Tensor const& tensor) {
    finish(work, tensor);
}

} // namespace trireme::parallel
