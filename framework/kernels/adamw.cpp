#include "framework/kernels/adamw.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "framework/kernels/simd.hpp"
#include "framework/kernels/tiles.hpp"

namespace trireme::framework::kernels {

namespace {

/// The numbers of a step in the type of what is updated.
template <typename T>
struct Numbers {
    T b1, b2, c1, c2, keep, rate, root, eps, scale;
    TRIREME_INLINE explicit Numbers(AdamWStep const& s)
        : b1(static_cast<T>(s.beta1)), b2(static_cast<T>(s.beta2)), c1(static_cast<T>(1 - s.beta1)),
          c2(static_cast<T>(1 - s.beta2)),
          keep(static_cast<T>(1 - s.learning_rate * s.weight_decay)),
          rate(static_cast<T>(s.learning_rate / s.correction1)),
          root(static_cast<T>(1 / std::sqrt(s.correction2))), eps(static_cast<T>(s.epsilon)),
          scale(static_cast<T>(*s.gradient_scale)) {}
    TRIREME_INLINE void update(T& w, T g, T& m, T& v) const {
        T const gradient = g * scale;
        m = b1 * m + c1 * gradient;
        v = b2 * v + c2 * gradient * gradient;
        w = w * keep - rate * m / (std::sqrt(v) * root + eps);
    }
};

template <typename T>
TRIREME_INLINE void update(std::int64_t n, AdamWStep const& s, T* w, T const* g, T* m, T* v) {
    Numbers<T> const numbers(s);
    if (std::isnan(*s.gradient_scale)) return;
    for (std::int64_t i = 0; i < n; ++i) numbers.update(w[i], g[i], m[i], v[i]);
}
TRIREME_CLONES void update_part(std::int64_t n, AdamWStep const& s, float* w, float const* g,
                                float* m, float* v) {
    update(n, s, w, g, m, v);
}
TRIREME_CLONES void update_part(std::int64_t n, AdamWStep const& s, double* w, double const* g,
                                double* m, double* v) {
    update(n, s, w, g, m, v);
}

/// Tells whether all of them are zeros whose sign is plus, in which an update without a gradient
/// changes nothing.
template <typename T>
TRIREME_INLINE bool all_zero(std::int64_t n, T const* m, T const* v) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    Bits any = 0;
    for (std::int64_t i = 0; i < n; ++i)
        any |= std::bit_cast<Bits>(m[i]) | std::bit_cast<Bits>(v[i]);
    return any == 0;
}

/// The update of elements whose gradient is zero.
template <typename T>
TRIREME_INLINE void decay(std::int64_t n, AdamWStep const& s, T* w, T* m, T* v) {
    constexpr std::int64_t kAtOnce = 64;
    Numbers<T> const numbers(s);
    if (std::isnan(*s.gradient_scale)) return;
    for (std::int64_t first = 0; first < n; first += kAtOnce) {
        std::int64_t const end = std::min(first + kAtOnce, n);
        if (!all_zero(end - first, m + first, v + first))
            for (std::int64_t i = first; i < end; ++i) numbers.update(w[i], T(0), m[i], v[i]);
        else if (numbers.keep != 1)
            for (std::int64_t i = first; i < end; ++i) w[i] *= numbers.keep;
    }
}
TRIREME_CLONES void decay_part(std::int64_t n, AdamWStep const& s, float* w, float* m, float* v) {
    decay(n, s, w, m, v);
}
TRIREME_CLONES void decay_part(std::int64_t n, AdamWStep const& s, double* w, double* m,
                               double* v) {
    decay(n, s, w, m, v);
}

/// Calls f(from, to, touched) for each run of elements [begin, end), counted from rows.first, whose
/// rows are all touched or all not.
template <typename F>
void for_runs_of_rows(TouchedRows const& rows, std::int64_t begin, std::int64_t end, F const& f) {
    for (std::int64_t at = begin; at < end;) {
        std::int64_t row = (rows.first + at) / rows.width, to = at;
        bool const touched = rows.marks[row] != 0;
        do to = std::min(++row * rows.width - rows.first, end);
        while (to < end && (rows.marks[row] != 0) == touched);
        f(at, to, touched);
        at = to;
    }
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
void adamw(TouchedRows const& rows, AdamWStep const& step, T* weight, T const* gradient, T* moment1,
           T* moment2) {
    std::int64_t const grain = tiles.update;
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < rows.count; i += grain)
        for_runs_of_rows(
            rows, i, std::min(i + grain, rows.count),
            [&](std::int64_t at, std::int64_t to, bool touched) {
                T *const w = weight + at, *const m = moment1 + at, *const v = moment2 + at;
                touched ? update_part(to - at, step, w, gradient + at, m, v)
                        : decay_part(to - at, step, w, m, v);
            });
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

template <typename T>
void block_squares(TouchedRows const& rows, std::int64_t block, T const* x, double* sums) {
#pragma omp parallel for schedule(static)
    for (std::int64_t b = 0; b < (rows.count + block - 1) / block; ++b) {
        std::int64_t const begin = b * block, end = std::min(begin + block, rows.count);
        auto const* const marks = rows.marks;
        bool const touched = std::any_of(marks + (rows.first + begin) / rows.width,
                                         marks + (rows.first + end - 1) / rows.width + 1,
                                         [](std::uint8_t mark) { return mark != 0; });
        sums[b] = touched ? squares_of(end - begin, x + begin) : 0;
    }
}

template void adamw(std::int64_t, AdamWStep const&, float*, float const*, float*, float*);
template void adamw(std::int64_t, AdamWStep const&, double*, double const*, double*, double*);
template void adamw(TouchedRows const&, AdamWStep const&, float*, float const*, float*, float*);
template void adamw(TouchedRows const&, AdamWStep const&, double*, double const*, double*, double*);
template void moving_average(std::int64_t, double, double const*, float const*, float*);
template void moving_average(std::int64_t, double, double const*, double const*, double*);
template void block_squares(std::int64_t, std::int64_t, float const*, double*);
template void block_squares(std::int64_t, std::int64_t, double const*, double*);
template void block_squares(TouchedRows const&, std::int64_t, float const*, double*);
template void block_squares(TouchedRows const&, std::int64_t, double const*, double*);

} // namespace trireme::framework::kernels
