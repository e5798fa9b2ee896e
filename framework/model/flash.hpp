// Attention of a GPU by libtorch's FlashAttention-2 kernels (Dao, 2023): all samples of a
// micro-batch in one call, in bf16, no scores in memory.
#pragma once
#include <ATen/ATen.h>

#include <string>

#include "framework/kernels/attention.hpp"

namespace trireme::framework::model {

/// While true, this thread's dry runs take the shapes of these kernels, as on a GPU.
inline thread_local bool dry_flash = false;

struct AttentionUse {
    std::int64_t head_size;
    double dropout;
    double cap; ///< of scores; 0: none
};
/// Why these kernels cannot be used in `dtype`, as the end of a sentence; empty if they can. Their
/// dropout has masks of its own, that do not belong to a sample: with it they are not used.
std::string no_flash(at::ScalarType dtype, AttentionUse const& use);
bool can_flash(at::Tensor const& q, kernels::AttentionProblem const& problem);

/// q[T, H S], k[T, K S], v[T, K S] of a GPU -> [T, H S]. offsets: int32 [n + 1], on the same GPU.
/// `recompute`: only these are kept for the backward pass.
at::Tensor flash_attention(at::Tensor const& q, at::Tensor const& k, at::Tensor const& v,
                           kernels::AttentionProblem const& problem, at::Tensor const& offsets,
                           bool recompute);

} // namespace trireme::framework::model
