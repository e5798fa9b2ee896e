// Scores of attention, scaled and, where a model has it so, capped: x becomes cap * tanh(x / cap)
// (Gemma 2), which no vector instruction computes.
#pragma once
#include <cmath>
#include <cstdint>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

template <typename T>
void cap_row(T* s, std::int64_t visible, T cap) {
    for (std::int64_t j = 0; j < visible; ++j) s[j] = cap * std::tanh(s[j] / cap);
}

/// Factors of a row's scores, and their cap; 0: none.
template <typename T>
struct Scores {
    T scale, cap;
};

/// Numbers of one query: log of its sum of exponentials, sum over outputs times their gradients.
template <typename T>
struct QueryNumbers {
    T log_sum, delta;
    Scores<T> scores;
};

/// Makes of raw scores in s[from, to) what multiplied the values, and of the gradient `d` of that
/// the gradient of the raw scores.
template <typename T>
void capped_gradients(T* s, T* d, T const* factors, std::int64_t from, std::int64_t to,
                      QueryNumbers<T> const& query) {
    auto const [scale, cap] = query.scores;
    for (std::int64_t j = from; j < to; ++j) {
        T const share = std::tanh(s[j] * scale / cap);
        T const probability = exp_fast(cap * share - query.log_sum);
        s[j] = probability * factors[j];
        d[j] = probability * (d[j] * factors[j] - query.delta) * (1 - share * share) * scale;
    }
}

} // namespace trireme::framework::kernels
