// Learning rate as a pure function of the step.
#pragma once
#include <cstdint>

#include "framework/config/config.hpp"

namespace trireme::framework::optimizer {

/// Learning rate of step `step` (from 0) of `total`: linear warm-up over warmup * total steps, then
/// constant, linear or cosine down to final_fraction * learning_rate at `total`.
double learning_rate(config::OptimizerSection const& section, std::int64_t step,
                     std::int64_t total);

} // namespace trireme::framework::optimizer
