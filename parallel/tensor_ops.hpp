// Tensor parallelism with sequence parallelism (Korthikanti et al., "Reducing activation
// recomputation in large transformer models", 2022, section 4.2.2): between the divided layers each
// rank holds a stretch of the sequence, inside them the whole sequence and a part of the heads or
// columns. T = tokens of the micro-batch, a multiple of the ranks; t = tensor ranks; D = model
// width.
#pragma once
#include <ATen/ATen.h>

#include "cluster/communicator.hpp"
#include "parallel/parameter.hpp"

namespace trireme::parallel {

/// The tensor axis as layers see it. A missing group means one rank.
struct TensorAxis {
    cluster::Communicator* group = nullptr;

    int size() const { return group ? group->size() : 1; }
    int rank() const { return group ? group->rank() : 0; }
};

// Each is the identity on one rank, and collective over the axis otherwise, in the forward and in
// the backward pass.

/// [T / t, D] -> [T, D]. The computation that follows differs from rank to rank, so the backward
/// pass adds the ranks' gradients: g of the paper's figure 5.
at::Tensor gather_sequence(at::Tensor const& x, TensorAxis const& axis);
/// Gathers likewise where every rank goes on with the same computation: the backward pass takes the
/// rank's own rows.
at::Tensor gather_sequence_alike(at::Tensor const& x, TensorAxis const& axis);
/// [T, D] of which each rank has a part of the sum -> [T / t, D] of the sum: g bar of the paper's
/// figure 5.
at::Tensor scatter_sum(at::Tensor const& x, TensorAxis const& axis);

/// y[T / t, D] = table[V, D] at ids[T], of which each rank holds a stretch of rows.
at::Tensor row_embedding(at::Tensor const& anchor, at::Tensor const& ids, ParameterUse const& table,
                         TensorAxis const& axis);

} // namespace trireme::parallel
