// Prices the kernels that a step starts by what a machine's calibration says of each. Local, pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "framework/planning/launch.hpp"

namespace trireme::framework::planning {

/// Seconds of one kernel by itself. `attention` says of a model's attention what a launch does not:
/// its mask, dropout and the length of samples.
double launch_seconds(Calibration const& c, Launch const& launch, AttentionKind attention);

/// A step that was run, with its kernels in their order.
struct TimedStep {
    std::string name;
    std::int64_t tokens = 0;
    AttentionKind attention;
    std::vector<Launch> launches;
    double seconds = 0;
};

/// Calibration::together by these steps: the median of what they took over the sum of their
/// kernels. Those of the fewest tokens count only where all have as many, since what a step does
/// once is a large part of theirs.
double measured_together(Calibration const& c, std::span<TimedStep const> steps);

} // namespace trireme::framework::planning
