// RMS norm (Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019) over rows.
#pragma once
#include <cstdint>

namespace trireme::framework::kernels {

/// y[r, :] = x[r, :] * inverse[r] * weight, inverse[r] = 1 / sqrt(mean(x[r, :]^2) + epsilon).
template <typename T>
void rms_norm_forward(std::int64_t rows, std::int64_t width, T const* x, T const* weight,
                      double epsilon, T* y, T* inverse);

template <typename T>
struct RmsNormGradients {
    T* dx;                     ///< [rows, width]
    T* dweight;                ///< [width]
    T const* beside = nullptr; ///< gradient of x by other ways, [rows, width], which dx includes
};
/// The sum over rows is in an order fixed by `rows` alone, whatever the threads.
template <typename T>
void rms_norm_backward(std::int64_t rows, std::int64_t width, T const* dy, T const* x,
                       T const* weight, T const* inverse, RmsNormGradients<T> const& gradients);

} // namespace trireme::framework::kernels
