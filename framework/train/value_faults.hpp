// The faults of tests that spoil a step's numbers, not its processes (cluster/fault.hpp).
#pragma once
#include <ATen/ATen.h>

#include "parallel/parameter_store.hpp"

namespace trireme::framework::train {

/// Does, between a step's backward pass and its update, what faults of the phases "step/gradient"
/// (NaN in the first gradient that this rank answers for), "step/loss" (`losses`, those of this
/// rank's micro-batches, times 1000) and "step/weights" (a bit of its first master weight flips)
/// ask for. Nothing without TRIREME_FAULT. Local.
void strike_values(parallel::ParameterStore& store, at::Tensor const& losses);

} // namespace trireme::framework::train
