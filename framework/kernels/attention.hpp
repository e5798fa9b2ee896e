// Block-diagonal attention over packed samples: no token sees another sample, because no product of
// the two is formed.
#pragma once
#include <cstdint>

#include "framework/kernels/random.hpp"

namespace trireme::framework::kernels {

/// Query heads H share kv heads K in groups of H / K (Ainslie et al., "GQA", 2023). Tensors are
/// [T, heads * size].
struct AttentionProblem {
    /// [samples + 1], tokens of sample i are [offsets[i], offsets[i + 1])
    std::int64_t const* offsets;
    std::int64_t const* sample_ids; ///< [samples], keys of dropout
    std::int64_t samples, heads, kv_heads, size;
    bool causal;
    std::int64_t window; ///< keys a query sees to each side that it sees, itself one of them
                         ///< (Beltagy et al., "Longformer", 2020); 0: all
    double scale;        ///< factor of scores, usually 1 / sqrt(size)
    DropoutKey dropout; ///< dropout of probabilities, keyed by sample, head, query and key position
    /// number that head 0 has in the model, since the heads may be some of the model's
    std::int64_t first_head = 0;
    double cap = 0; ///< scores x become cap * tanh(x / cap), after `scale`; 0: they stay
    /// [samples], the token of each sample that asks, where only one does: queries, outputs, lse
    /// and their gradients have a row for each of them then; null: all tokens ask
    std::int64_t const* asking = nullptr;
};

/// out[T, H size] and lse[T, H], the log of each row's sum of exponentials, which the backward pass
/// needs.
template <typename T>
void attention_forward(AttentionProblem const& p, T const* q, T const* k, T const* v, T* out,
                       T* lse);

/// dq, dk, dv. Probabilities are computed again from lse (Dao et al., "FlashAttention", 2022,
/// algorithm 4). A kv head's gradient adds its query heads in order; one task owns it, so nothing
/// depends on the threads.
template <typename T>
void attention_backward(AttentionProblem const& p, T const* q, T const* k, T const* v, T const* out,
                        T const* lse, T const* dout, T* dq, T* dk, T* dv);

} // namespace trireme::framework::kernels
