// Computes on the path of a GPU what the kernels of framework/kernels compute: attention by
// libtorch's operations, cross-entropy by a fused kernel. The functions and random numbers are the
// same; sums are taken in another order, so results are equal within rounding and not to the bit.
// Tensors are float32 or float64 and contiguous unless said otherwise; ids and labels are int64. T
// tokens, D width, H query heads, K kv heads, S head size. Nothing here waits for the device.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/kernels/attention.hpp"
#include "framework/kernels/random.hpp"

namespace trireme::framework::model::composed {

/// 0 or 1 / (1 - p) for elements 0 to count - 1 of each row (high[r], row[r]): [rows, count] of
/// `options`. The masks of kernels::dropout_factors to the bit, by Philox on int64.
at::Tensor dropout_factors(kernels::DropoutKey const& key, at::Tensor const& high,
                           at::Tensor const& row, std::int64_t count,
                           at::TensorOptions const& options);

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
/// Logits [n, classes] of classes first, first + 1, ..., float32, float64 or bfloat16.
struct ClassRows {
    at::Tensor logits;
    std::int64_t first;
    at::Tensor labels;     ///< below 0: none
    bool gradient = false; ///< logits become (softmax - onehot) * scale
    double scale = 1;
    double cap = 0; ///< a score is cap tanh(logit / cap); 0: the logit
};
/// Cross-entropy of a chunk of rows whose classes may be divided over ranks. What a rank knows of
/// them travels in one call from construction to finish(), while the host queues something else.
/// Collective over `group`: ranks that have the other classes, or null.
class CrossEntropy {
  public:
    CrossEntropy(ClassRows rows, cluster::Communicator* group);
    RowLosses finish();

  private:
    void queue(at::Tensor const& found, RowLosses const& losses) const;

    ClassRows rows_;
    at::Tensor found_, all_; ///< [n, 4] of this rank, [ranks, n, 4]
    std::optional<cluster::Work> work_;
};

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
