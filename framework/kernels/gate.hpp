// SwiGLU (Shazeer, "GLU variants improve transformer", 2020) between the products: silu(gate) * up
// of n numbers each.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

template <typename T>
void gated_silu_forward(std::int64_t n, T const* gate, T const* up, T* y);

/// Makes dgate and dup of dy, and leaves y again where dy was: all from one sigmoid.
template <typename T>
void gated_silu_backward(std::int64_t n, T const* gate, T const* up, T* dy, T* dgate, T* dup);

} // namespace trireme::framework::kernels
