// at::Tensor -> cluster::Buffer. Contiguity, dtype and device are checked here and nowhere else.
#pragma once
#include <ATen/ATen.h>

#include "cluster/buffer.hpp"

namespace trireme::parallel {

/// The memory of a contiguous tensor; none for one on the meta device, which only the fake communicator takes. The
/// tensor must outlive the collective. Throws JobError otherwise.
cluster::Buffer buffer_of(at::Tensor const& tensor);

} // namespace trireme::parallel
