// The global gradient norm, one number in every layout.
#pragma once
#include "parallel/parameter_store.hpp"

namespace trireme::framework {

/// sqrt of the sum over trainable parameters of their squares. Sums of squares are float64 per canonical block of each
/// tensor and added in (name, block) order, so the order never depends on what lies on which rank. Local: with ZeRO 0
/// every rank holds the whole gradient.
double gradient_norm(parallel::ParameterStore const& store);

} // namespace trireme::framework
