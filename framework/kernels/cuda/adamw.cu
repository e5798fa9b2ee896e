// AdamW on the device: the arithmetic of framework/kernels/adamw.cpp, one thread per element.
// Compiled with -fmad=false, since the CPU forms no fused multiply-adds here either.
#include "framework/kernels/cuda/adamw.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
__global__ void update(std::int64_t n, T keep, T rate, T root, AdamWStep step, T* weight,
                       T const* gradient, T* moment1, T* moment2) {
    auto const i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    double const scale = *step.gradient_scale;
    if (i >= n || isnan(scale)) return;
    T const b1 = static_cast<T>(step.beta1), b2 = static_cast<T>(step.beta2);
    T const c1 = static_cast<T>(1 - step.beta1), c2 = static_cast<T>(1 - step.beta2);
    T const g = gradient[i] * static_cast<T>(scale);
    T const m = b1 * moment1[i] + c1 * g, v = b2 * moment2[i] + c2 * g * g;
    moment1[i] = m;
    moment2[i] = v;
    weight[i] = weight[i] * keep - rate * m / (sqrt(v) * root + static_cast<T>(step.epsilon));
}

} // namespace

template <typename T>
bool adamw_on_device(std::int64_t n, AdamWStep const& step, T* weight, T const* gradient,
                     T* moment1, T* moment2, void* stream) {
    if (n == 0) return true;
    constexpr int kThreads = 256;
    auto const blocks = static_cast<unsigned>((n + kThreads - 1) / kThreads);
    update<T><<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        n, static_cast<T>(1 - step.learning_rate * step.weight_decay),
        static_cast<T>(step.learning_rate / step.correction1),
        static_cast<T>(1 / sqrt(step.correction2)), step, weight, gradient, moment1, moment2);
    return cudaGetLastError() == cudaSuccess;
}

template bool adamw_on_device(std::int64_t, AdamWStep const&, float*, float const*, float*, float*,
                              void*);
template bool adamw_on_device(std::int64_t, AdamWStep const&, double*, double const*, double*,
                              double*, void*);

} // namespace trireme::framework::kernels
