// Learning rate as a pure function of the step.
#pragma once
#include <cstdint>

#include "framework/optimizer/section.hpp"

namespace trireme::framework::optimizer {

/// Learning rate of step `step` (from 0) of `total`: linear warm-up over warmup * total steps, then
/// as the schedule has it down to final_fraction * learning_rate at `total`: never (constant), by a
/// line, by half a cosine, or (wsd) by a line over the last cooldown * total steps. range_test
/// (Smith 2017, cyclical learning rates, section 3.3) has no warm-up and goes the other way: from
/// final_fraction * learning_rate at step 0 to learning_rate at the last step, by the same factor
/// every step. A new one is a value with its name in section.hpp, a case in schedule.cpp, and a row
/// of tests/golden/make_optimizer.py.
double learning_rate(Section const& section, std::int64_t step, std::int64_t total);

} // namespace trireme::framework::optimizer
