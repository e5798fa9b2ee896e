// How attention is cut into tasks, and what a task asks for ahead of the next.
#pragma once
#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "framework/kernels/attention.hpp"
#include "framework/kernels/packing.hpp"
#include "framework/kernels/simd.hpp"

namespace trireme::framework::kernels {

/// One task works on the tokens of a sample and one kv head with its query heads.
template <typename T>
struct Task {
    std::int64_t token, n, sample, kv_head, group, size, width, q_stride, kv_stride;
    std::int64_t first_query, end_query; ///< of the sample's tokens, those that ask
    std::int64_t query_row;              ///< row of the first of them

    std::int64_t row_of(std::int64_t query) const { return query_row + query - first_query; }
};

template <typename T>
TRIREME_INLINE Task<T> task_of(AttentionProblem const& p, std::int64_t index) {
    std::int64_t const sample = index / p.kv_heads, token = p.offsets[sample],
                       n = p.offsets[sample + 1] - token,
                       first = p.asking ? p.asking[sample] - token : 0;
    return {.token = token,
            .n = n,
            .sample = p.sample_ids[sample],
            .kv_head = index % p.kv_heads,
            .group = p.heads / p.kv_heads,
            .size = p.size,
            .width = padded<T>(p.size),
            .q_stride = p.heads * p.size,
            .kv_stride = p.kv_heads * p.size,
            .first_query = first,
            .end_query = p.asking ? first + 1 : n,
            .query_row = p.asking ? sample : token};
}

/// Asks for the rows that the next task reads, one by one while this one computes: they lie too far
/// apart for the processor to foresee them.
template <typename T>
class NextRows {
  public:
    TRIREME_INLINE NextRows(AttentionProblem const& p, std::int64_t index)
        : next_(task_of<T>(p, std::min(index + 1, p.samples * p.kv_heads - 1))),
          queries_(next_.end_query - next_.first_query) {
        constexpr std::int64_t kMost = 128 << 10; // or they push out what this task works on
        std::int64_t const bytes =
            next_.n * next_.size * (3 * next_.group + 2) * static_cast<std::int64_t>(sizeof(T));
        if (bytes > kMost) next_.n = queries_ = 0;
    }
    /// To be called for each of this task's queries, of which `query` counts. `of_queries`: tensors
    /// that have a row for each query; `of_keys`: for each token.
    TRIREME_INLINE void ask(std::int64_t query, std::initializer_list<T const*> of_queries,
                            std::initializer_list<T const*> of_keys) const {
        if (query < queries_)
            for (T const* x : of_queries)
                ask(x, next_.query_row + query, next_.q_stride, next_.group * next_.size);
        std::int64_t const end = std::min(next_.n, queries_ == 1 ? next_.n : query + 1);
        for (std::int64_t row = query; row < end; ++row)
            for (T const* x : of_keys) ask(x, next_.token + row, next_.kv_stride, next_.size);
    }

  private:
    TRIREME_INLINE void ask(T const* x, std::int64_t row, std::int64_t stride,
                            std::int64_t count) const {
        T const* const from = x + row * stride + next_.kv_head * count;
        for (std::int64_t i = 0; i < count; i += kLanes<T>) __builtin_prefetch(from + i);
    }
    Task<T> next_;
    std::int64_t queries_;
};

} // namespace trireme::framework::kernels
