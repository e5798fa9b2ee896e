// The reference that every layout is compared with: one rank, one micro-batch, float64. The count
// of trained labels, the rate of a step, the gradient norm, clipping and AdamW are written out here
// once more, from their definitions: a mistake in the code that trains is the same in every layout,
// and a reference that shared it would hide it.
#pragma once
#include <vector>

#include "framework/parity/trace.hpp"

namespace trireme::framework::parity {

/// Has no SHA-256 and no spreads.
Trace exact_trace(Problem const& problem);

/// One divided by the number of trained labels of the step's samples, counted label by label.
double loss_scale_of(Problem const& problem, std::int64_t step);

/// Rate of a step, counted from `first_step`, written out from the definition: parity has no
/// warm-up.
double rate_of(Problem const& problem, std::int64_t step);

/// Result of the reference for other micro-batches, weights or models, with which a diagnosis
/// compares a layout.
struct Variant {
    double loss = 0;
    Tensors gradient;
};
/// Forward and backward pass of `micro_batches` with every loss times `loss_scale`, without an
/// update.
Variant reference_variant(model::Config const& model, Tensors const& weights,
                          std::vector<data::MicroBatch> const& micro_batches, std::uint64_t seed,
                          std::int64_t step, double loss_scale);

} // namespace trireme::framework::parity
