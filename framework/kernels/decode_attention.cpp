#include "framework/kernels/decode_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

namespace {

template <typename T>
TRIREME_INLINE T dot_vectorised(std::int64_t n, T const* a, T const* b) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

/// One query head over `n` keys: softmax(scale q K^T) V.
template <typename T>
TRIREME_INLINE void attend(std::int64_t n, DecodeProblem const& p, T const* q, T const* keys,
                           T const* values, T* scores, T* out) {
    std::int64_t const size = p.places.size;
    T const scale = static_cast<T>(p.scale), cap = static_cast<T>(p.cap);
    T highest = -std::numeric_limits<T>::infinity(), total = 0;
    for (std::int64_t j = 0; j < n; ++j) {
        scores[j] = scale * dot_vectorised(size, q, keys + j * size);
        if (cap > 0) scores[j] = cap * std::tanh(scores[j] / cap);
        highest = scores[j] > highest ? scores[j] : highest;
    }
    for (std::int64_t j = 0; j < n; ++j) scores[j] = exp_fast(scores[j] - highest);
    for (std::int64_t j = 0; j < n; ++j) total += scores[j];
    for (std::int64_t d = 0; d < size; ++d) out[d] = 0;
    for (std::int64_t j = 0; j < n; ++j) {
        T const weight = scores[j] / total;
#pragma omp simd
        for (std::int64_t d = 0; d < size; ++d) out[d] += weight * values[j * size + d];
    }
}

template <typename T>
TRIREME_INLINE void task(DecodeProblem const& p, std::int64_t index, T const* q, T const* keys,
                         T const* values, T* out) {
    auto const& c = p.places;
    std::int64_t const query = index / c.kv_heads, kv_head = index % c.kv_heads,
                       group = p.heads / c.kv_heads;
    std::int64_t const sequence = p.sequence[query], end = p.position[query] + 1;
    std::int64_t const first = p.window > 0 ? std::max<std::int64_t>(0, end - p.window) : 0;
    std::int64_t const row = c.start[sequence] + (kv_head * c.capacity[sequence] + first) * c.size;
    static thread_local std::vector<T> scores;
    scores.resize(static_cast<std::size_t>(end - first));
    for (std::int64_t g = 0; g < group; ++g) {
        std::int64_t const at = (query * p.heads + kv_head * group + g) * c.size;
        attend(end - first, p, q + at, keys + row, values + row, scores.data(), out + at);
    }
}
TRIREME_CLONES void run_task(DecodeProblem const& p, std::int64_t i, float const* q, float const* k,
                             float const* v, float* out) {
    task(p, i, q, k, v, out);
}
TRIREME_CLONES void run_task(DecodeProblem const& p, std::int64_t i, double const* q,
                             double const* k, double const* v, double* out) {
    task(p, i, q, k, v, out);
}

} // namespace

template <typename T>
void cache_write(CachePlaces const& places, std::int64_t tokens, std::int32_t const* sequence,
                 std::int32_t const* position, T const* rows, T* cache) {
#pragma omp parallel for schedule(static)
    for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t h = 0; h < places.kv_heads; ++h)
            std::copy_n(rows + (t * places.kv_heads + h) * places.size, places.size,
                        cache + places.start[sequence[t]] +
                            (h * places.capacity[sequence[t]] + position[t]) * places.size);
}

template <typename T>
void decode_attention(DecodeProblem const& p, T const* q, T const* keys, T const* values, T* out) {
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = 0; i < p.queries * p.places.kv_heads; ++i)
        run_task(p, i, q, keys, values, out);
}

template void cache_write(CachePlaces const&, std::int64_t, std::int32_t const*,
                          std::int32_t const*, float const*, float*);
template void cache_write(CachePlaces const&, std::int64_t, std::int32_t const*,
                          std::int32_t const*, double const*, double*);
template void decode_attention(DecodeProblem const&, float const*, float const*, float const*,
                               float*);
template void decode_attention(DecodeProblem const&, double const*, double const*, double const*,
                               double*);

} // namespace trireme::framework::kernels
