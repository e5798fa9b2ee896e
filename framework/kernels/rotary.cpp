#include "framework/kernels/rotary.hpp"

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
TRIREME_INLINE void rotate_row(std::int64_t heads, RotarySizes const& size, T const* c, T const* s,
                               T sign, T const* x, T* y) {
    std::int64_t const half = size.turned / 2;
    for (std::int64_t h = 0; h < heads; ++h, x += size.head, y += size.head) {
        for (std::int64_t i = 0; i < half; ++i) {
            T const a = x[i], b = x[half + i], sine = sign * s[i];
            y[i] = a * c[i] - b * sine;
            y[half + i] = b * c[i] + a * sine;
        }
        for (std::int64_t i = size.turned; i < size.head; ++i) y[i] = x[i];
    }
}
TRIREME_CLONES void rotate(std::int64_t n, RotarySizes const& h, float const* c, float const* s,
                           float g, float const* x, float* y) {
    rotate_row(n, h, c, s, g, x, y);
}
TRIREME_CLONES void rotate(std::int64_t n, RotarySizes const& h, double const* c, double const* s,
                           double g, double const* x, double* y) {
    rotate_row(n, h, c, s, g, x, y);
}

} // namespace

template <typename T>
void apply_rotary(std::int64_t rows, std::int64_t heads, RotarySizes size,
                  std::int32_t const* position, T const* cosine, T const* sine, int direction,
                  T const* x, T* y) {
    std::int64_t const half = size.turned / 2, width = heads * size.head;
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
        rotate(heads, size, cosine + position[r] * half, sine + position[r] * half,
               static_cast<T>(direction), x + r * width, y + r * width);
}

template void apply_rotary(std::int64_t, std::int64_t, RotarySizes, std::int32_t const*,
                           float const*, float const*, int, float const*, float*);
template void apply_rotary(std::int64_t, std::int64_t, RotarySizes, std::int32_t const*,
                           double const*, double const*, int, double const*, double*);

} // namespace trireme::framework::kernels
