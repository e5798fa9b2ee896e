#include "framework/kernels/rotary.hpp"

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
TRIREME_INLINE void rotate_row(std::int64_t heads, std::int64_t half, T const* c, T const* s,
                               T sign, T const* x, T* y) {
    for (std::int64_t h = 0; h < heads; ++h, x += 2 * half, y += 2 * half)
        for (std::int64_t i = 0; i < half; ++i) {
            T const a = x[i], b = x[half + i], sine = sign * s[i];
            y[i] = a * c[i] - b * sine;
            y[half + i] = b * c[i] + a * sine;
        }
}
TRIREME_CLONES void rotate(std::int64_t n, std::int64_t h, float const* c, float const* s, float g,
                           float const* x, float* y) {
    rotate_row(n, h, c, s, g, x, y);
}
TRIREME_CLONES void rotate(std::int64_t n, std::int64_t h, double const* c, double const* s,
                           double g, double const* x, double* y) {
    rotate_row(n, h, c, s, g, x, y);
}

} // namespace

template <typename T>
void apply_rotary(std::int64_t rows, std::int64_t heads, std::int64_t size,
                  std::int32_t const* position, T const* cosine, T const* sine, int direction,
                  T const* x, T* y) {
    std::int64_t const half = size / 2, width = heads * size;
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
        rotate(heads, half, cosine + position[r] * half, sine + position[r] * half,
               static_cast<T>(direction), x + r * width, y + r * width);
}

template void apply_rotary(std::int64_t, std::int64_t, std::int64_t, std::int32_t const*,
                           float const*, float const*, int, float const*, float*);
template void apply_rotary(std::int64_t, std::int64_t, std::int64_t, std::int32_t const*,
                           double const*, double const*, int, double const*, double*);

} // namespace trireme::framework::kernels
