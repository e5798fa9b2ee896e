#include "framework/kernels/gate.hpp"

#include <algorithm>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

constexpr std::int64_t kAtATime = 4096; ///< numbers that a thread takes; no result depends on it

/// exp_fast takes at most about 88 in float32; from there on the sigmoid would be a denormal
/// number.
TRIREME_INLINE float sigmoid(float x) {
    float const share = 1.0F / (1.0F + exp_fast(-x > 88.0F ? 88.0F : -x));
    return x < -88.0F ? 0.0F : share;
}
TRIREME_INLINE double sigmoid(double x) {
    return 1.0 / (1.0 + exp_fast(-x));
}

template <typename T>
TRIREME_INLINE void forward_part(std::int64_t n, T const* gate, T const* up, T* y) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

template <typename T>
TRIREME_INLINE void backward_part(std::int64_t n, T const* gate, T const* up, T* dy, T* dgate,
                                  T* dup) {
    for (std::int64_t i = 0; i < n; ++i) {
        T const share = sigmoid(gate[i]), value = gate[i] * share;
        T const slope = share + value * (T(1) - share), d = dy[i];
        dgate[i] = d * up[i] * slope;
        dup[i] = d * value;
        dy[i] = value * up[i];
    }
}

TRIREME_CLONES void forward_of(std::int64_t n, float const* g, float const* u, float* y) {
    forward_part(n, g, u, y);
}
TRIREME_CLONES void forward_of(std::int64_t n, double const* g, double const* u, double* y) {
    forward_part(n, g, u, y);
}
TRIREME_CLONES void backward_of(std::int64_t n, float const* g, float const* u, float* dy,
                                float* dg, float* du) {
    backward_part(n, g, u, dy, dg, du);
}
TRIREME_CLONES void backward_of(std::int64_t n, double const* g, double const* u, double* dy,
                                double* dg, double* du) {
    backward_part(n, g, u, dy, dg, du);
}

} // namespace

template <typename T>
void gated_silu_forward(std::int64_t n, T const* gate, T const* up, T* y) {
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < n; i += kAtATime)
        forward_of(std::min(kAtATime, n - i), gate + i, up + i, y + i);
}

template <typename T>
void gated_silu_backward(std::int64_t n, T const* gate, T const* up, T* dy, T* dgate, T* dup) {
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < n; i += kAtATime)
        backward_of(std::min(kAtATime, n - i), gate + i, up + i, dy + i, dgate + i, dup + i);
}

template void gated_silu_forward(std::int64_t, float const*, float const*, float*);
template void gated_silu_forward(std::int64_t, double const*, double const*, double*);
template void gated_silu_backward(std::int64_t, float const*, float const*, float*, float*, float*);
template void gated_silu_backward(std::int64_t, double const*, double const*, double*, double*,
                                  double*);

} // namespace trireme::framework::kernels
