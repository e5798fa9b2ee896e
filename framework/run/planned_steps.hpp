// The length of a run.
#pragma once
#include <cstdint>

#include "framework/run/section.hpp"

namespace trireme::framework::run {

/// Counts the optimizer steps of the whole run. `global`: samples of a step; `samples`: those of an
/// epoch. Throws InputError if there are none.
std::int64_t planned_steps(TrainSection const& section, std::int64_t global, std::int64_t samples);

} // namespace trireme::framework::run
