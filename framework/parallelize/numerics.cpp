#include "framework/parallelize/numerics.hpp"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>

namespace trireme::framework::parallelize {

at::ScalarType compute_dtype(Compute compute) {
    switch (compute) {
    case Compute::fp64: return at::kDouble;
    case Compute::fp32: return at::kFloat;
    case Compute::bf16: return at::kBFloat16;
    }
    return at::kFloat;
}

namespace {

void keep_freed_memory() {
    // Activations come and go each block; given back to the kernel they would be zeroed page by
    // page again.
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 64 << 20);
}

} // namespace

int configure_numerics(NumericsSection const& section, int cores_of_this_rank) {
    // STRICT: a product's bits do not depend on the alignment of its operands (oneMKL developer
    // guide, "Obtaining numerically reproducible results"). A value set by the user stays.
    if (section.mode == NumericsMode::bitwise) setenv("MKL_CBWR", "AUTO,STRICT", 0);
    keep_freed_memory();
    int const threads = section.threads > 0 ? section.threads : std::max(1, cores_of_this_rank);
    at::set_num_threads(threads);
    return threads;
}

} // namespace trireme::framework::parallelize
