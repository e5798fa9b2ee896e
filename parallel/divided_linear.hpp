// Linear layers that are divided over the tensor axis, by columns of what they make or by columns
// of what they read (Shoeybi et al., "Megatron-LM", 2019, section 3), with sequence parallelism
// around them (parallel/tensor_ops.hpp).
//
// [Note: divided products] On the path of a GPU communication goes behind products. Forward, rows
// come in chunks (Budgets::divided_rows): while one is computed, the others are gathered, or the
// sum of the one before is on its way. Between the passes a rank keeps its own rows of what the
// layers read, and the backward pass gathers the others again while it computes the input's
// gradient (Korthikanti et al., section 4.2.2); that gradient is added over the ranks during the
// products for the weights' gradients. Only what is gathered or added before the first product, or
// after the last, is waited for. Weight gradients that are made later (zero-bubble schedules)
// gather for themselves, and wait for it, so that only own rows are kept for them. On the CPU
// copies take the cores that products need: there rows come whole, and stay.
//
// Layers and axes are kept by address: they must outlive the graph. Each function is collective
// over the axis, forward and backward, and local on one rank. With ranks to talk to, x has a dtype
// that buffer_of takes.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "parallel/linear.hpp"
#include "parallel/tensor_ops.hpp"

namespace trireme::parallel {

/// How outputs of layers that read the same x may lie: as columns of one tensor, or each by itself.
enum class Outputs : std::uint8_t { side_by_side, apart };

/// y_i[T, O_i / t] = x w_i[O_i / t, D]^T + b_i[O_i / t], for layers that read the same x, of which
/// each rank has x[T / t, D]; at least one layer. What the layers leave for the gradient of x is
/// added by the products themselves, one layer after another.
///
/// [Note: one product for several layers] On the path of a GPU one product makes all outputs, side
/// by side, where weights lie one after another in memory, and biases, as parameter_specs() lists
/// them, and the outputs need not lie apart. Gradients of outputs that come side by side, too, are
/// read by one product each way. On the CPU one product was measured to take as long as several.
std::vector<at::Tensor> column_linears(at::Tensor const& x,
                                       std::vector<LinearUse const*> const& layers,
                                       TensorAxis const& axis,
                                       Outputs outputs = Outputs::side_by_side);

/// y[T / t, O] = sum over ranks of x[T, I / t] w[O, I / t]^T, plus b[O], which each rank adds to
/// its own rows.
at::Tensor row_linear(at::Tensor const& x, LinearUse const& layer, TensorAxis const& axis);

// The two passes of these layers, as those of `linear` (parallel/linear.hpp).

/// column_linears on one rank.
struct ColumnProducts {
    std::vector<LinearUse const*> const& layers;

    /// Returns the outputs without a graph.
    std::vector<at::Tensor> forward(at::Tensor const& x, Outputs outputs) const;
    LinearBack backward(std::vector<at::Tensor> const& dy, bool of_input) const;
};

/// row_linear, on any number of ranks.
struct RowProduct {
    LinearUse const& layer;
    TensorAxis const& axis;

    at::Tensor forward(at::Tensor const& x) const;
    LinearBack backward(at::Tensor const& dy, bool of_input) const;
};

} // namespace trireme::parallel
