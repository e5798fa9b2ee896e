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
};

template <typename T>
TRIREME_INLINE Task<T> task_of(AttentionProblem const& p, std::int64_t index) {
    std::int64_t const sample = index / p.kv_heads;
    return {p.offsets[sample],    p.offsets[sample + 1] - p.offsets[sample],
            p.sample_ids[sample], index % p.kv_heads,
            p.heads / p.kv_heads, p.size,
            padded<T>(p.size),    p.heads * p.size,
            p.kv_heads * p.size};
}

/// Asks for the rows that the next task reads, one by one while this one computes: they lie too far
/// apart for the processor to foresee them.
template <typename T>
class NextRows {
  public:
    TRIREME_INLINE NextRows(AttentionProblem const& p, std::int64_t index)
        : next_(task_of<T>(p, std::min(index + 1, p.samples * p.kv_heads - 1))) {
        constexpr std::int64_t kMost = 128 << 10; // or they push out what this task works on
        std::int64_t const bytes =
            next_.n * next_.size * (3 * next_.group + 2) * static_cast<std::int64_t>(sizeof(T));
        if (bytes > kMost) next_.n = 0;
    }
    /// `queries`: tensors of the heads of queries; `keys`: of kv heads.
    TRIREME_INLINE void ask(std::int64_t row, std::initializer_list<T const*> queries,
                            std::initializer_list<T const*> keys) const {
        if (row >= next_.n) return;
        for (T const* x : queries) ask(row, x, next_.q_stride, next_.group * next_.size);
        for (T const* x : keys) ask(row, x, next_.kv_stride, next_.size);
    }

  private:
    TRIREME_INLINE void ask(std::int64_t row, T const* x, std::int64_t stride,
                            std::int64_t count) const {
        T const* const from = x + (next_.token + row) * stride + next_.kv_head * count;
        for (std::int64_t i = 0; i < count; i += kLanes<T>) __builtin_prefetch(from + i);
    }
    Task<T> next_;
};

} // namespace trireme::framework::kernels
