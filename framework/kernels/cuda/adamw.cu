// AdamW on the device: the arithmetic of framework/kernels/adamw.cpp, one thread per element. Compiled with -fmad=false,
// since the CPU forms no fused multiply-adds here either.
#include "framework/kernels/cuda/adamw.hpp"

namespace trireme::framework::kernels {

namespace {

__global__ void update(std::int64_t n, float keep, float rate, float root, AdamWStep step, float* weight, float const* gradient,
                       float* moment1, float* moment2) {
    auto const i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float const b1 = static_cast<float>(step.beta1), b2 = static_cast<float>(step.beta2);
    float const c1 = static_cast<float>(1 - step.beta1), c2 = static_cast<float>(1 - step.beta2);
    float const g = gradient[i] * static_cast<float>(step.gradient_scale);
    float const m = b1 * moment1[i] + c1 * g, v = b2 * moment2[i] + c2 * g * g;
    moment1[i] = m;
    moment2[i] = v;
    weight[i] = weight[i] * keep - rate * m / (sqrtf(v) * root + static_cast<float>(step.epsilon));
}

} // namespace

bool adamw_on_device(std::int64_t n, AdamWStep const& step, float* weight, float const* gradient, float* moment1,
                     float* moment2, void* stream) {
    if (n == 0) return true;
    constexpr int kThreads = 256;
    auto const blocks = static_cast<unsigned>((n + kThreads - 1) / kThreads);
    update<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        n, static_cast<float>(1 - step.learning_rate * step.weight_decay), static_cast<float>(step.learning_rate / step.correction1),
        static_cast<float>(1 / sqrt(step.correction2)), step, weight, gradient, moment1, moment2);
    return cudaGetLastError() == cudaSuccess;
}

} // namespace trireme::framework::kernels
