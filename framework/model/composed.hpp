// Computes by libtorch's operations what the kernels of framework/kernels compute: the path of a
// GPU. The functions and random numbers are the same; sums are taken in another order, so results
// are equal within rounding and not to the bit. Tensors are float32 or float64 and contiguous
// unless said otherwise; ids and labels are int64. T tokens, D width, H query heads, K kv heads, S
// head size. Nothing here waits for the device.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/kernels/attention.hpp"
#include "framework/kernels/random.hpp"

namespace trireme::framework::model::composed {

/// y[T, D] and 1 / rms of each row, [T, 1].
std::pair<at::Tensor, at::Tensor> rms_norm(at::Tensor const& x, at::Tensor const& weight,
                                           double epsilon);
/// Gradients of x and of the weight.
std::pair<at::Tensor, at::Tensor> rms_norm_backward(at::Tensor const& dy, at::Tensor const& x,
                                                    at::Tensor const& weight,
                                                    at::Tensor const& inverse);

/// 0 or 1 / (1 - p) for elements 0 to count - 1 of each row (high[r], row[r]): [rows, count] of
/// `options`. The masks of kernels::dropout_factors to the bit, by Philox on int64.
at::Tensor dropout_factors(kernels::DropoutKey const& key, at::Tensor const& high,
                           at::Tensor const& row, std::int64_t count,
                           at::TensorOptions const& options);

/// x[T, heads S] rotated by positions[T]; direction 1 or -1.
at::Tensor apply_rotary(at::Tensor const& x, std::int64_t heads, at::Tensor const& positions,
                        at::Tensor const& cosine, at::Tensor const& sine, int direction);

/// out[T, H S] and lse[H, T]; one sample at a time, whose scores [H, n, n] exist while it runs.
std::pair<at::Tensor, at::Tensor> attention(kernels::AttentionProblem const& problem,
                                            at::Tensor const& q, at::Tensor const& k,
                                            at::Tensor const& v);
struct AttentionGradients {
    at::Tensor q, k, v;
};
AttentionGradients attention_backward(kernels::AttentionProblem const& problem, at::Tensor const& q,
                                      at::Tensor const& k, at::Tensor const& v,
                                      at::Tensor const& out, at::Tensor const& lse,
                                      at::Tensor const& dout);

/// Loss (float64) and prediction (int64) of each row; 0 and -1 in rows without a label.
struct RowLosses {
    at::Tensor loss, best;
};
/// logits[n, classes], of classes first, first + 1, ...; with `gradient` they become (softmax -
/// onehot) * scale. `group`: ranks that have the other classes, or null. Collective over it.
RowLosses cross_entropy(at::Tensor const& logits, std::int64_t first, at::Tensor const& labels,
                        bool gradient, double scale, cluster::Communicator* group);

/// What kernels::base_sums finds: of base logits[n, classes], and of the model's before they become
/// gradients.
struct BaseRows {
    at::Tensor exponentials, highest, sums; ///< [n, classes], [n], [3, n]
    std::int64_t first = 0;                 ///< class
    at::Tensor labels = {};                 ///< [n]
};
/// Collective over `group`, as above.
BaseRows base_rows(at::Tensor const& base, at::Tensor const& logits, std::int64_t first,
                   at::Tensor const& labels, cluster::Communicator* group);
/// Adds weight * KL(base || model) to the losses that cross_entropy found, and with `gradient` its
/// gradient to the gradients that it left.
void add_divergence(BaseRows const& base, double weight, double scale, bool gradient,
                    at::Tensor const& gradients, RowLosses& rows);

} // namespace trireme::framework::model::composed
