// The layers that hold nearly all parameters. Their backward pass writes weight gradients through
// handles.
#pragma once
#include <ATen/ATen.h>

#include <atomic>
#include <functional>

#include "parallel/parameter.hpp"

namespace trireme::parallel {

/// the graph keeps addresses of handles: no temporary will do
inline ParameterUse const kNoParameter{};

/// A linear layer's weight, and its bias, which may be empty.
struct LinearUse {
    ParameterUse weight, bias;
};

/// Tells whether product() computes pieces of a fixed size, each in one thread, so that its bits do
/// not depend on the number of threads. Otherwise the library divides a product by threads as it
/// likes: sums are rounded otherwise then in float64, and in float32 where there are few columns.
/// Holds for the whole process; must be set before anything is computed, or results would differ
/// from call to call.
inline std::atomic<bool> products_in_pieces{false};

/// y[M, N] = a[M, K] b[K, N] + bias[N]; without a bias where it is undefined.
at::Tensor product(at::Tensor const& a, at::Tensor const& b, at::Tensor const& bias = {});

/// y[T, O] = x[T, I] w[O, I]^T + b[O]. `bias` may be empty. A weight that is input_major is [I, O],
/// and so its gradient.
at::Tensor linear(at::Tensor const& x, ParameterUse const& weight,
                  ParameterUse const& bias = kNoParameter);

// The two passes of `linear`, for nodes of the graph that make again in the backward pass what the
// layer read, and do not keep it.

at::Tensor linear_forward(at::Tensor const& x, ParameterUse const& weight,
                          ParameterUse const& bias);
struct LinearBack {
    at::Tensor dx; ///< the caller's; undefined if not asked for
    /// Delivers the gradients of all layers that read x, given what they read. To be called once;
    /// collective where they are divided over ranks.
    std::function<void(at::Tensor const& x)> deliver;
};
LinearBack linear_backward(at::Tensor const& gradient, ParameterUse const& weight,
                           ParameterUse const& bias, bool of_input);

// The parts of `linear`, for layers that are divided over ranks.

/// The weight as [I, O], whichever way it is stored.
at::Tensor from_input(ParameterUse const& weight);
/// Delivers the gradients of a layer that read x[T, I] where its output's gradient is dy[T, O].
void deliver_gradients(ParameterUse const& weight, ParameterUse const& bias, at::Tensor const& dy,
                       at::Tensor const& x);

/// y[T, D] = table[V, D] at ids[T] (int64). `anchor` is any tensor that requires a gradient: ids
/// have none, and a graph must start somewhere. The gradient of rows is summed in token order, so
/// it is the same for every thread count; the spec's untrained_row gets none. Of a table of which
/// this rank holds a stretch of rows, ids of other rows give zeros.
at::Tensor embedding(at::Tensor const& anchor, at::Tensor const& ids, ParameterUse const& table);

/// table[ids]: rows of a table, of which the meta device has only the shape.
at::Tensor pick_rows(at::Tensor const& table, at::Tensor const& ids);

} // namespace trireme::parallel
