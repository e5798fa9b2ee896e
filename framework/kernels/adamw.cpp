#include "framework/kernels/adamw.hpp"

#include <algorithm>
#include <cmath>

#include "framework/kernels/simd.hpp"
#include "framework/kernels/tiles.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
TRIREME_INLINE void update(std::int64_t n, AdamWStep const& s, T* w, T const* g, T* m, T* v) {
    T const b1 = static_cast<T>(s.beta1), b2 = static_cast<T>(s.beta2),
            c1 = static_cast<T>(1 - s.beta1), c2 = static_cast<T>(1 - s.beta2);
    T const keep = static_cast<T>(1 - s.learning_rate * s.weight_decay),
            rate = static_cast<T>(s.learning_rate / s.correction1);
    T const root = static_cast<T>(1 / std::sqrt(s.correction2)), eps = static_cast<T>(s.epsilon),
            scale = static_cast<T>(*s.gradient_scale);
    if (std::isnan(*s.gradient_scale)) return;
    for (std::int64_t i = 0; i < n; ++i) {
        T const gradient = g[i] * scale;
        m[i] = b1 * m[i] + c1 * gradient;
        v[i] = b2 * v[i] + c2 * gradient * gradient;
        w[i] = w[i] * keep - rate * m[i] / (std::sqrt(v[i]) * root + eps);
    }
}
TRIREME_CLONES void update_part(std::int64_t n, AdamWStep const& s, float* w, float const* g,
                                float* m, float* v) {
    update(n, s, w, g, m, v);
}
TRIREME_CLONES void update_part(std::int64_t n, AdamWStep const& s, double* w, double const* g,
                                double* m, double* v) {
    update(n, s, w, g, m, v);
}

template <typename T>
TRIREME_INLINE void average(std::int64_t n, T keep, T take, T const* w, T* a) {
    for (std::int64_t i = 0; i < n; ++i) a[i] = keep * a[i] + take * w[i];
}
TRIREME_CLONES void average_part(std::int64_t n, float keep, float take, float const* w, float* a) {
    average(n, keep, take, w, a);
}
TRIREME_CLONES void average_part(std::int64_t n, double keep, double take, double const* w,
                                 double* a) {
    average(n, keep, take, w, a);
}

template <typename T>
TRIREME_INLINE double squares(std::int64_t n, T const* x) {
    double sums[8] = {};
    std::int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; ++l)
            sums[l] += static_cast<double>(x[i + l]) * static_cast<double>(x[i + l]);
    for (; i < n; ++i) sums[i % 8] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    double total = 0;
    for (double s : sums) total += s;
    return total;
}
TRIREME_CLONES double squares_of(std::int64_t n, float const* x) {
    return squares(n, x);
}
TRIREME_CLONES double squares_of(std::int64_t n, double const* x) {
    return squares(n, x);
}

} // namespace

template <typename T>
void adamw(std::int64_t n, AdamWStep const& step, T* weight, T const* gradient, T* moment1,
           T* moment2) {
    std::int64_t const grain = tiles.update;
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < n; i += grain)
        update_part(std::min(grain, n - i), step, weight + i, gradient + i, moment1 + i,
                    moment2 + i);
}

template <typename T>
void moving_average(std::int64_t n, double decay, double const* gradient_scale, T const* weight,
                    T* average) {
    if (std::isnan(*gradient_scale)) return;
    std::int64_t const grain = tiles.update;
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < n; i += grain)
        average_part(std::min(grain, n - i), static_cast<T>(decay), static_cast<T>(1 - decay),
                     weight + i, average + i);
}

template <typename T>
void block_squares(std::int64_t n, std::int64_t block, T const* x, double* sums) {
#pragma omp parallel for schedule(static)
    for (std::int64_t b = 0; b < (n + block - 1) / block; ++b)
        sums[b] = squares_of(std::min(block, n - b * block), x + b * block);
}

template void adamw(std::int64_t, AdamWStep const&, float*, float const*, float*, float*);
template void adamw(std::int64_t, AdamWStep const&, double*, double const*, double*, double*);
template void moving_average(std::int64_t, double, double const*, float const*, float*);
template void moving_average(std::int64_t, double, double const*, double const*, double*);
template void block_squares(std::int64_t, std::int64_t, float const*, double*);
template void block_squares(std::int64_t, std::int64_t, double const*, double*);

} // namespace trireme::framework::kernels
