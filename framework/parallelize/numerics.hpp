// Settings of arithmetic for the whole process.
#pragma once
#include <ATen/ATen.h>

#include "framework/parallelize/section.hpp"

namespace trireme::framework::parallelize {

at::ScalarType compute_dtype(Compute compute);

/// Fixes threads per rank and, in bitwise mode, the code path of matrix products (Intel's
/// conditional numerical reproducibility). Call before the first tensor operation. Returns the
/// number of threads in force.
int configure_numerics(NumericsSection const& section, int cores_of_this_rank);

} // namespace trireme::framework::parallelize
