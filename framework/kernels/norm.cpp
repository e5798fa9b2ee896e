#include "framework/kernels/norm.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "framework/kernels/simd.hpp"
#include "framework/kernels/tiles.hpp"

namespace trireme::framework::kernels {

namespace {

/// sum a[i] b[i] in kLanes running sums: the order is a function of `width` alone.
template <typename T>
TRIREME_INLINE T dot_in_lanes(T const* a, T const* b, std::int64_t width) {
    T sums[16] = {};
    std::int64_t i = 0;
    for (; i + 16 <= width; i += 16)
        for (int l = 0; l < 16; ++l) sums[l] += a[i + l] * b[i + l];
    for (; i < width; ++i) sums[i % 16] += a[i] * b[i];
    T total = 0;
    for (T s : sums) total += s;
    return total;
}

template <typename T>
TRIREME_INLINE void forward_row(std::int64_t width, T const* x, T const* weight, double epsilon,
                                T* y, T* inverse) {
    T const mean = dot_in_lanes(x, x, width) / static_cast<T>(width);
    *inverse = static_cast<T>(1) / std::sqrt(mean + static_cast<T>(epsilon));
    for (std::int64_t d = 0; d < width; ++d) y[d] = x[d] * *inverse * weight[d];
}

template <bool kBeside, typename T>
TRIREME_INLINE void backward_row(std::int64_t width, T const* dy, T const* x, T const* weight,
                                 T inverse, RmsNormGradients<T> const& to, T* scratch) {
    for (std::int64_t d = 0; d < width; ++d) scratch[d] = dy[d] * weight[d];
    T const along = dot_in_lanes(scratch, x, width) * inverse * inverse / static_cast<T>(width);
    for (std::int64_t d = 0; d < width; ++d) {
        T const own = inverse * (scratch[d] - x[d] * along);
        to.dx[d] = kBeside ? to.beside[d] + own : own;
        to.dweight[d] += dy[d] * x[d] * inverse;
    }
}

template <typename T>
TRIREME_INLINE void backward_row(std::int64_t width, T const* dy, T const* x, T const* weight,
                                 T inverse, RmsNormGradients<T> const& to, T* scratch) {
    to.beside ? backward_row<true>(width, dy, x, weight, inverse, to, scratch)
              : backward_row<false>(width, dy, x, weight, inverse, to, scratch);
}

TRIREME_CLONES void row_forward(std::int64_t w, float const* x, float const* g, double e, float* y,
                                float* i) {
    forward_row(w, x, g, e, y, i);
}
TRIREME_CLONES void row_forward(std::int64_t w, double const* x, double const* g, double e,
                                double* y, double* i) {
    forward_row(w, x, g, e, y, i);
}
TRIREME_CLONES void row_backward(std::int64_t w, float const* dy, float const* x, float const* g,
                                 float i, RmsNormGradients<float> const& to, float* s) {
    backward_row(w, dy, x, g, i, to, s);
}
TRIREME_CLONES void row_backward(std::int64_t w, double const* dy, double const* x, double const* g,
                                 double i, RmsNormGradients<double> const& to, double* s) {
    backward_row(w, dy, x, g, i, to, s);
}

} // namespace

template <typename T>
void rms_norm_forward(std::int64_t rows, std::int64_t width, T const* x, T const* weight,
                      double epsilon, T* y, T* inverse) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r)
        row_forward(width, x + r * width, weight, epsilon, y + r * width, inverse + r);
}

template <typename T>
void rms_norm_backward(std::int64_t rows, std::int64_t width, T const* dy, T const* x,
                       T const* weight, T const* inverse, RmsNormGradients<T> const& gradients) {
    std::int64_t const each = tiles.rows, parts = (rows + each - 1) / each;
    std::vector<T> partial(static_cast<std::size_t>(parts * width), T(0));
#pragma omp parallel for schedule(static)
    for (std::int64_t p = 0; p < parts; ++p) {
        std::vector<T> scratch(static_cast<std::size_t>(width));
        for (std::int64_t r = p * each; r < std::min(rows, (p + 1) * each); ++r)
            row_backward(width, dy + r * width, x + r * width, weight, inverse[r],
                         {gradients.dx + r * width, partial.data() + p * width,
                          gradients.beside ? gradients.beside + r * width : nullptr},
                         scratch.data());
    }
    T* const dweight = gradients.dweight;
    std::fill(dweight, dweight + width, T(0));
    for (std::int64_t p = 0; p < parts; ++p)
        for (std::int64_t d = 0; d < width; ++d)
            dweight[d] += partial[static_cast<std::size_t>(p * width + d)];
}

template void rms_norm_forward(std::int64_t, std::int64_t, float const*, float const*, double,
                               float*, float*);
template void rms_norm_forward(std::int64_t, std::int64_t, double const*, double const*, double,
                               double*, double*);
template void rms_norm_backward(std::int64_t, std::int64_t, float const*, float const*,
                                float const*, float const*, RmsNormGradients<float> const&);
template void rms_norm_backward(std::int64_t, std::int64_t, double const*, double const*,
                                double const*, double const*, RmsNormGradients<double> const&);

} // namespace trireme::framework::kernels
