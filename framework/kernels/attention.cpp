#include "framework/kernels/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "framework/kernels/attention_tasks.hpp"
#include "framework/kernels/capped_scores.hpp"
#include "framework/kernels/matmul_tile.hpp"
#include "framework/kernels/packing.hpp"
#include "framework/kernels/tiles.hpp"

namespace trireme::framework::kernels {

namespace {

/// Working memory of one thread, for one (sample, kv head) at a time.
template <typename T>
struct Workspace {
    std::vector<T> keys, keys_t, values, values_t, scores, factors, grads, out, dk, dv;
    static Workspace& mine() {
        static thread_local Workspace workspace;
        return workspace;
    }
};

template <typename T>
T* sized(std::vector<T>& v, std::int64_t n) {
    if (static_cast<std::int64_t>(v.size()) < n) v.resize(static_cast<std::size_t>(n));
    return v.data();
}

/// Keys [first, end) that query i of n sees.
struct Range {
    std::int64_t first, end;
};
TRIREME_INLINE Range seen(AttentionProblem const& p, std::int64_t i, std::int64_t n) {
    std::int64_t const ahead = p.window ? p.window : n; // and itself
    return {p.window && i >= p.window ? i + 1 - p.window : 0,
            p.causal ? i + 1 : std::min(i + ahead, n)};
}

/// Keys that some query of a tile sees, widened to whole vectors: those below `low` and from low +
/// width on are never touched. Score j of a row belongs to key low + j.
struct Band {
    std::int64_t low, count, width;
};
template <typename T>
TRIREME_INLINE Band band_of(AttentionProblem const& p, std::int64_t first, std::int64_t rows,
                            std::int64_t n) {
    std::int64_t const low = seen(p, first, n).first / kLanes<T> * kLanes<T>,
                       end = seen(p, first + rows - 1, n).end;
    return {low, end - low, padded<T>(end) - low};
}

/// Ends a loop over [first, end) where a group of 16 does, if the row has the room: elements that
/// no query sees cost less in a vector than those that it sees one by one.
TRIREME_INLINE std::int64_t whole_groups(std::int64_t first, std::int64_t end, std::int64_t width) {
    return std::min(first + (end - first + 15) / 16 * 16, width);
}

template <typename T>
TRIREME_INLINE T softmax_row(T* s, std::int64_t visible, std::int64_t width,
                             Scores<T> const& scores) {
    std::int64_t const end = whole_groups(0, visible, width);
    for (std::int64_t j = 0; j < end; ++j) s[j] *= scores.scale;
    if (scores.cap > 0) cap_row(s, visible, scores.cap);
    std::fill(s + visible, s + end, -std::numeric_limits<T>::infinity());
    T const highest = largest(s, end);
    T sums[16] = {};
    std::int64_t j = 0;
    for (; j + 16 <= end; j += 16)
        for (int l = 0; l < 16; ++l) s[j + l] = exp_fast(s[j + l] - highest), sums[l] += s[j + l];
    for (; j < end; ++j) s[j] = exp_fast(s[j] - highest), sums[j % 16] += s[j];
    T total = 0;
    for (T x : sums) total += x;
    T const inverse = T(1) / total;
    for (j = 0; j < end; ++j) s[j] *= inverse;
    for (; j < width; ++j) s[j] = 0;
    return highest + std::log(total);
}

template <typename T>
void drop(AttentionProblem const& p, Task<T> const& t, std::int64_t head, std::int64_t query,
          Band const& keys, T* factors) {
    // The counter's high word is the sample, its row the (head, query) pair: heads x positions stay
    // below 2^32.
    auto const row = static_cast<std::uint32_t>((p.first_head + head) << 20 | query);
    dropout_factors(p.dropout, static_cast<std::uint64_t>(t.sample), row, keys.low, keys.count,
                    factors);
}

/// Factors of a query's probabilities, 1 without dropout.
template <typename T>
TRIREME_INLINE void factors_of(AttentionProblem const& p, Task<T> const& t, std::int64_t head,
                               std::int64_t query, Band const& keys, T* factors) {
    if (p.dropout.probability > 0)
        drop(p, t, head, query, keys, factors);
    else
        std::fill(factors, factors + keys.count, T(1));
}

template <typename T>
TRIREME_INLINE Scores<T> scores_of(AttentionProblem const& p) {
    return {static_cast<T>(p.scale), static_cast<T>(p.cap)};
}

template <typename T>
TRIREME_INLINE void forward_task(AttentionProblem const& p, std::int64_t index, T const* q,
                                 T const* k, T const* v, T* out, T* lse) {
    auto const t = task_of<T>(p, index);
    NextRows<T> const next(p, index);
    auto& w = Workspace<T>::mine();
    std::int64_t const np = padded<T>(t.n), most = tiles.queries; // query rows at a time
    T* const keys_t = sized(w.keys_t, t.size * np);
    T* const values = sized(w.values, t.n * t.width);
    T* const scores = sized(w.scores, most * np);
    T* const tile_out = sized(w.out, most * t.width);
    T* const factors = sized(w.factors, np);
    std::int64_t const kv = t.token * t.kv_stride + t.kv_head * t.size;
    pack_transposed(k + kv, t.kv_stride, t.n, t.size, np, keys_t);
    pack(v + kv, t.kv_stride, t.n, t.size, t.width, values);
    for (std::int64_t g = 0; g < t.group; ++g) {
        std::int64_t const head = t.kv_head * t.group + g;
        for (std::int64_t first = t.first_query; first < t.end_query; first += most) {
            std::int64_t const rows = std::min(most, t.end_query - first);
            Band const band = band_of<T>(p, first, rows, t.n);
            std::int64_t const row = t.row_of(first), at = row * t.q_stride + head * t.size;
            product<T>(rows, band.width,
                       {t.size, {q + at, t.q_stride, 1}, {keys_t + band.low, np}, {scores, np}});
            for (std::int64_t r = 0; r < rows; ++r) {
                T* const s = scores + r * np;
                if (g == 0) next.ask(first + r - t.first_query, {q}, {k, v});
                Range const keys = seen(p, first + r, t.n);
                std::int64_t const from = keys.first - band.low;
                std::fill(s, s + from, T(0));
                lse[(row + r) * p.heads + head] = softmax_row(s + from, keys.end - keys.first,
                                                              band.width - from, scores_of<T>(p));
                if (p.dropout.probability > 0) {
                    drop(p, t, head, first + r, band, factors);
                    for (std::int64_t j = 0; j < band.count; ++j) s[j] *= factors[j];
                }
            }
            T const* const seen_values = values + band.low * t.width;
            product<T>(rows, t.width,
                       {band.count, {scores, np, 1}, {seen_values, t.width}, {tile_out, t.width}});
            unpack(tile_out, t.width, rows, t.size, t.q_stride, out + at);
        }
    }
}

template <typename T>
TRIREME_INLINE T dot(T const* a, T const* b, std::int64_t n) {
    T sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}

/// Makes of a query's raw scores `s` what multiplied the values, and of the gradient `d` of that
/// the gradient of the raw scores.
template <typename T>
TRIREME_INLINE void score_gradients(T* s, T* d, T const* factors, Band const& band,
                                    Range const& keys, QueryNumbers<T> const& query) {
    std::int64_t const from = keys.first - band.low, to = keys.end - band.low;
    for (std::int64_t j = 0; j < from; ++j) s[j] = d[j] = 0;
    T const scale = query.scores.scale;
    if (query.scores.cap > 0)
        capped_gradients(s, d, factors, from, to, query);
    else
        for (std::int64_t j = from; j < whole_groups(from, to, band.width); ++j) {
            T const probability = exp_fast(s[j] * scale - query.log_sum);
            s[j] = probability * factors[j];
            d[j] = probability * (d[j] * factors[j] - query.delta) * scale;
        }
    for (std::int64_t j = to; j < band.width; ++j) s[j] = d[j] = 0;
}

template <typename T>
TRIREME_INLINE void backward_task(AttentionProblem const& p, std::int64_t index, T const* q,
                                  T const* k, T const* v, T const* out, T const* lse, T const* dout,
                                  T* dq, T* dk, T* dv) {
    auto const t = task_of<T>(p, index);
    NextRows<T> const next(p, index);
    auto& w = Workspace<T>::mine();
    std::int64_t const np = padded<T>(t.n), most = tiles.queries; // query rows at a time
    T* const keys = sized(w.keys, t.n * t.width);
    T* const keys_t = sized(w.keys_t, t.size * np);
    T* const values_t = sized(w.values_t, t.size * np);
    T* const probs = sized(w.scores, most * np);
    T* const grads = sized(w.grads, most * np);
    T* const factors = sized(w.factors, np);
    T* const tile_q = sized(w.out, 3 * most * t.width); // queries,
    T* const tile_d = tile_q + most * t.width;          // gradients of outputs,
    T* const tile_dq = tile_d + most * t.width;         // and of queries
    T* const key_grads = sized(w.dk, t.n * t.width);
    T* const value_grads = sized(w.dv, t.n * t.width);
    std::int64_t const kv = t.token * t.kv_stride + t.kv_head * t.size;
    pack(k + kv, t.kv_stride, t.n, t.size, t.width, keys);
    pack_transposed(k + kv, t.kv_stride, t.n, t.size, np, keys_t);
    pack_transposed(v + kv, t.kv_stride, t.n, t.size, np, values_t);
    std::fill(key_grads, key_grads + t.n * t.width, T(0));
    std::fill(value_grads, value_grads + t.n * t.width, T(0));
    for (std::int64_t g = 0; g < t.group; ++g) {
        std::int64_t const head = t.kv_head * t.group + g;
        for (std::int64_t first = t.first_query; first < t.end_query; first += most) {
            std::int64_t const rows = std::min(most, t.end_query - first);
            Band const band = band_of<T>(p, first, rows, t.n);
            std::int64_t const row = t.row_of(first), at = row * t.q_stride + head * t.size;
            pack(q + at, t.q_stride, rows, t.size, t.width, tile_q);
            pack(dout + at, t.q_stride, rows, t.size, t.width, tile_d);
            product<T>(rows, band.width,
                       {t.size, {tile_q, t.width, 1}, {keys_t + band.low, np}, {probs, np}});
            product<T>(rows, band.width,
                       {t.size, {tile_d, t.width, 1}, {values_t + band.low, np}, {grads, np}});
            for (std::int64_t r = 0; r < rows; ++r) {
                T *const s = probs + r * np, *const d = grads + r * np;
                std::int64_t const query = first + r;
                if (g == 0) next.ask(query - t.first_query, {q, out, dout}, {k, v});
                T const delta = dot(out + at + r * t.q_stride, dout + at + r * t.q_stride, t.size);
                factors_of(p, t, head, query, band, factors);
                score_gradients(s, d, factors, band, seen(p, query, t.n),
                                {lse[(row + r) * p.heads + head], delta, scores_of<T>(p)});
            }
            std::int64_t const at_band = band.low * t.width;
            product<T>(
                band.count, t.width,
                {rows, {probs, 1, np}, {tile_d, t.width}, {value_grads + at_band, t.width}, true});
            product<T>(
                band.count, t.width,
                {rows, {grads, 1, np}, {tile_q, t.width}, {key_grads + at_band, t.width}, true});
            product<T>(rows, t.width,
                       {band.count, {grads, np, 1}, {keys + at_band, t.width}, {tile_dq, t.width}});
            unpack(tile_dq, t.width, rows, t.size, t.q_stride, dq + at);
        }
    }
    unpack(key_grads, t.width, t.n, t.size, t.kv_stride, dk + kv);
    unpack(value_grads, t.width, t.n, t.size, t.kv_stride, dv + kv);
}

TRIREME_CLONES void forward_one(AttentionProblem const& p, std::int64_t i, float const* q,
                                float const* k, float const* v, float* o, float* l) {
    forward_task(p, i, q, k, v, o, l);
}
TRIREME_CLONES void forward_one(AttentionProblem const& p, std::int64_t i, double const* q,
                                double const* k, double const* v, double* o, double* l) {
    forward_task(p, i, q, k, v, o, l);
}
TRIREME_CLONES void backward_one(AttentionProblem const& p, std::int64_t i, float const* q,
                                 float const* k, float const* v, float const* o, float const* l,
                                 float const* d, float* dq, float* dk, float* dv) {
    backward_task(p, i, q, k, v, o, l, d, dq, dk, dv);
}
TRIREME_CLONES void backward_one(AttentionProblem const& p, std::int64_t i, double const* q,
                                 double const* k, double const* v, double const* o, double const* l,
                                 double const* d, double* dq, double* dk, double* dv) {
    backward_task(p, i, q, k, v, o, l, d, dq, dk, dv);
}

} // namespace

template <typename T>
void attention_forward(AttentionProblem const& p, T const* q, T const* k, T const* v, T* out,
                       T* lse) {
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = 0; i < p.samples * p.kv_heads; ++i) forward_one(p, i, q, k, v, out, lse);
}

template <typename T>
void attention_backward(AttentionProblem const& p, T const* q, T const* k, T const* v, T const* out,
                        T const* lse, T const* dout, T* dq, T* dk, T* dv) {
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t i = 0; i < p.samples * p.kv_heads; ++i)
        backward_one(p, i, q, k, v, out, lse, dout, dq, dk, dv);
}

template void attention_forward(AttentionProblem const&, float const*, float const*, float const*,
                                float*, float*);
template void attention_forward(AttentionProblem const&, double const*, double const*,
                                double const*, double*, double*);
template void attention_backward(AttentionProblem const&, float const*, float const*, float const*,
                                 float const*, float const*, float const*, float*, float*, float*);
template void attention_backward(AttentionProblem const&, double const*, double const*,
                                 double const*, double const*, double const*, double const*,
                                 double*, double*, double*);

} // namespace trireme::framework::kernels
