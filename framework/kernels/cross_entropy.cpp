#include "framework/kernels/cross_entropy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
double sum_of(T const (&sums)[16]) {
    double total = 0;
    for (T s : sums) total += static_cast<double>(s);
    return total;
}

TRIREME_CLONES float maximum(std::int64_t n, float const* x) {
    return largest(x, n);
}
TRIREME_CLONES double maximum(std::int64_t n, double const* x) {
    return largest(x, n);
}

/// x = exp(x - highest). Returns the sum.
template <typename T>
TRIREME_INLINE double exponentiate(std::int64_t n, T* x, T highest) {
    T sums[16] = {};
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; ++l) x[i + l] = exp_fast(x[i + l] - highest), sums[l] += x[i + l];
    for (; i < n; ++i) x[i] = exp_fast(x[i] - highest), sums[i % 16] += x[i];
    return sum_of(sums);
}
TRIREME_CLONES double exponentials(std::int64_t n, float* x, float highest) {
    return exponentiate(n, x, highest);
}
TRIREME_CLONES double exponentials(std::int64_t n, double* x, double highest) {
    return exponentiate(n, x, highest);
}

/// y = exp(y - highest). Returns the sum, and in `gap` that of y times what y was above x.
template <typename T>
TRIREME_INLINE double exponentiate(std::int64_t n, T* y, T const* x, T highest, double* gap) {
    T sums[16] = {}, gaps[16] = {};
    for (std::int64_t i = 0; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; ++l) {
            T const difference = y[i + l] - x[i + l];
            y[i + l] = exp_fast(y[i + l] - highest);
            sums[l] += y[i + l], gaps[l] += y[i + l] * difference;
        }
    for (std::int64_t i = n / 16 * 16; i < n; ++i) {
        T const difference = y[i] - x[i];
        y[i] = exp_fast(y[i] - highest);
        sums[i % 16] += y[i], gaps[i % 16] += y[i] * difference;
    }
    *gap = sum_of(gaps);
    return sum_of(sums);
}
TRIREME_CLONES double exponentials(std::int64_t n, float* y, float const* x, float h, double* gap) {
    return exponentiate(n, y, x, h, gap);
}
TRIREME_CLONES double exponentials(std::int64_t n, double* y, double const* x, double h,
                                   double* gap) {
    return exponentiate(n, y, x, h, gap);
}

template <typename T>
TRIREME_INLINE double row_loss(std::int64_t n, T* x, std::int32_t label, bool gradient,
                               double scale, std::int32_t* best) {
    T const highest = largest(x, n);
    *best = static_cast<std::int32_t>(std::find(x, x + n, highest) - x);
    T const target = x[label];
    double total = 0;
    if (gradient) {
        total = exponentiate(n, x, highest);
    } else {
        T sums[16] = {};
        std::int64_t i = 0;
        for (; i + 16 <= n; i += 16)
            for (int l = 0; l < 16; ++l) sums[l] += exp_fast(x[i + l] - highest);
        for (; i < n; ++i) sums[i % 16] += exp_fast(x[i] - highest);
        total = sum_of(sums);
    }
    if (gradient) {
        T const factor = static_cast<T>(scale / total);
        for (std::int64_t k = 0; k < n; ++k) x[k] *= factor;
        x[label] -= static_cast<T>(scale);
    }
    return std::log(total) + static_cast<double>(highest) - static_cast<double>(target);
}
TRIREME_CLONES double row(std::int64_t n, float* x, std::int32_t label, bool g, double s,
                          std::int32_t* b) {
    return row_loss(n, x, label, g, s, b);
}
TRIREME_CLONES double row(std::int64_t n, double* x, std::int32_t label, bool g, double s,
                          std::int32_t* b) {
    return row_loss(n, x, label, g, s, b);
}

} // namespace

template <typename T>
void cross_entropy(std::int64_t rows, std::int64_t classes, T* logits, std::int32_t const* label,
                   bool gradient, double scale, double* loss, std::int32_t* best) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < rows; ++r) {
        T* const x = logits + r * classes;
        if (label[r] >= 0) {
            loss[r] = row(classes, x, label[r], gradient, scale, best + r);
        } else {
            loss[r] = 0;
            best[r] = -1;
            if (gradient) std::fill(x, x + classes, T(0));
        }
    }
}

template void cross_entropy(std::int64_t, std::int64_t, float*, std::int32_t const*, bool, double,
                            double*, std::int32_t*);
template void cross_entropy(std::int64_t, std::int64_t, double*, std::int32_t const*, bool, double,
                            double*, std::int32_t*);

template <typename T>
void row_maxima(ClassStretch<T> const& part, double* highest, std::int32_t* best) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < part.rows; ++r) {
        T const* const x = part.logits + r * part.classes;
        T const most = maximum(part.classes, x);
        auto const* const found = std::find(x, x + part.classes, most);
        highest[r] = static_cast<double>(most);
        best[r] = part.classes > 0 ? static_cast<std::int32_t>(part.first + (found - x)) : -1;
    }
}

template <typename T>
void row_sums(ClassStretch<T> const& part, std::int32_t const* label, double const* highest,
              double* sums) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < part.rows; ++r) {
        T* const x = part.logits + r * part.classes;
        sums[r] = sums[part.rows + r] = 0;
        if (label[r] < 0) {
            std::fill(x, x + part.classes, T(0));
            continue;
        }
        std::int64_t const own = label[r] - part.first;
        if (own >= 0 && own < part.classes) sums[part.rows + r] = static_cast<double>(x[own]);
        sums[r] = exponentials(part.classes, x, static_cast<T>(highest[r]));
    }
}

template <typename T>
void row_gradients(ClassStretch<T> const& part, std::int32_t const* label, double const* sums,
                   double scale) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < part.rows; ++r) {
        if (label[r] < 0) continue;
        T* const x = part.logits + r * part.classes;
        T const factor = static_cast<T>(scale / sums[r]);
        for (std::int64_t i = 0; i < part.classes; ++i) x[i] *= factor;
        std::int64_t const own = label[r] - part.first;
        if (own >= 0 && own < part.classes) x[own] -= static_cast<T>(scale);
    }
}

template <typename T>
void base_sums(ClassStretch<T> const& base, T const* logits, std::int32_t const* label,
               double const* highest, double* sums) {
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < base.rows; ++r) {
        T* const y = base.logits + r * base.classes;
        T const* const x = logits + r * base.classes;
        std::int64_t const own = label[r] - base.first;
        std::int64_t const n = label[r] >= 0 ? base.classes : 0;
        sums[r] = exponentials(n, y, x, static_cast<T>(highest[r]), &sums[base.rows + r]);
        sums[2 * base.rows + r] =
            own >= 0 && own < base.classes ? static_cast<double>(x[own]) : 0.0;
    }
}

template <typename T>
void base_gradients(ClassStretch<T> const& base, std::int32_t const* label, double const* sums,
                    double weight, double scale, T* gradients) {
    // (1 + weight) softmax - onehot - weight * base: the label's place is put right at the end.
    T const more = static_cast<T>(1 + weight);
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < base.rows; ++r) {
        if (label[r] < 0) continue;
        T const* const y = base.logits + r * base.classes;
        T* const g = gradients + r * base.classes;
        T const factor = static_cast<T>(weight * scale / sums[r]);
        for (std::int64_t i = 0; i < base.classes; ++i) g[i] = g[i] * more - y[i] * factor;
        std::int64_t const own = label[r] - base.first;
        if (own >= 0 && own < base.classes) g[own] += static_cast<T>(weight * scale);
    }
}

template void base_sums(ClassStretch<float> const&, float const*, std::int32_t const*,
                        double const*, double*);
template void base_sums(ClassStretch<double> const&, double const*, std::int32_t const*,
                        double const*, double*);
template void base_gradients(ClassStretch<float> const&, std::int32_t const*, double const*, double,
                             double, float*);
template void base_gradients(ClassStretch<double> const&, std::int32_t const*, double const*,
                             double, double, double*);
template void row_maxima(ClassStretch<float> const&, double*, std::int32_t*);
template void row_maxima(ClassStretch<double> const&, double*, std::int32_t*);
template void row_sums(ClassStretch<float> const&, std::int32_t const*, double const*, double*);
template void row_sums(ClassStretch<double> const&, std::int32_t const*, double const*, double*);
template void row_gradients(ClassStretch<float> const&, std::int32_t const*, double const*, double);
template void row_gradients(ClassStretch<double> const&, std::int32_t const*, double const*,
                            double);

} // namespace trireme::framework::kernels
