// The operations of a GPU's path, on tensors of the CPU.
#pragma once
#include "parallel/compute_path.hpp"

namespace trireme::test {

/// While one is alive, everything is computed as on a GPU: by libtorch's operations and the bodies
/// of the fused kernels, and not by the kernels of the CPU.
class ComposedPath {
  public:
    ComposedPath() { parallel::composed_everywhere = true; }
    ~ComposedPath() { parallel::composed_everywhere = false; }
    ComposedPath(ComposedPath const&) = delete;
    ComposedPath& operator=(ComposedPath const&) = delete;
};

} // namespace trireme::test
