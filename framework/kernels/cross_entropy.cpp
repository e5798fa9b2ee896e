#include "framework/kernels/cross_entropy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
TRIREME_INLINE double row_loss(std::int64_t n, T* x, std::int32_t label, bool gradient,
                               double scale, std::int32_t* best) {
    T highest = x[0];
    for (std::int64_t i = 1; i < n; ++i) highest = x[i] > highest ? x[i] : highest;
    *best = static_cast<std::int32_t>(std::find(x, x + n, highest) - x);
    T const target = x[label];
    T sums[16] = {};
    std::int64_t i = 0;
    if (gradient) {
        for (; i + 16 <= n; i += 16)
            for (int l = 0; l < 16; ++l)
                x[i + l] = exp_fast(x[i + l] - highest), sums[l] += x[i + l];
        for (; i < n; ++i) x[i] = exp_fast(x[i] - highest), sums[i % 16] += x[i];
    } else {
        for (; i + 16 <= n; i += 16)
            for (int l = 0; l < 16; ++l) sums[l] += exp_fast(x[i + l] - highest);
        for (; i < n; ++i) sums[i % 16] += exp_fast(x[i] - highest);
    }
    double total = 0;
    for (T s : sums) total += static_cast<double>(s);
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
        auto const* const found = std::max_element(x, x + part.classes);
        highest[r] = part.classes > 0 ? static_cast<double>(*found)
                                      : -std::numeric_limits<double>::infinity();
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
        double total = 0;
        for (std::int64_t i = 0; i < part.classes; ++i) {
            x[i] = exp_fast(x[i] - static_cast<T>(highest[r]));
            total += static_cast<double>(x[i]);
        }
        sums[r] = total;
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
        double total = 0, gap = 0;
        for (std::int64_t i = 0; i < base.classes && label[r] >= 0; ++i) {
            T const difference = y[i] - x[i];
            y[i] = exp_fast(y[i] - static_cast<T>(highest[r]));
            total += static_cast<double>(y[i]);
            gap += static_cast<double>(y[i]) * static_cast<double>(difference);
        }
        sums[r] = total;
        sums[base.rows + r] = gap;
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
