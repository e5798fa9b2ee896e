// The time of a step of our own runs in closed form, for a search over thousands of layouts:
// rooflines, alpha-beta collectives with the traffic of docs/collectives.md, the bubble of the
// schedule. Constants are stated in own_time.cpp.
#pragma once
#include "framework/model/config.hpp"
#include "framework/planning/machine_file.hpp"
#include "framework/planning/own_memory.hpp"
#include "framework/planning/prediction.hpp"

namespace trireme::framework::planning {

ModelShape shape_of(model::Config const& model);

/// Facts of a run that no layout changes.
struct OwnRun {
    ModelShape model;
    std::int64_t sequence = 0;     ///< tokens of a sample
    std::int64_t global_batch = 0; ///< samples of a step
};

/// A layout and its micro-batch, in samples.
struct OwnPlan {
    OwnLayout layout;
    std::int64_t micro_batch = 1;
};

/// Seconds of a step by where they go. Local, pure.
StepTime own_time(OwnRun const& run, OwnPlan const& plan, MachineFile const& machine);

} // namespace trireme::framework::planning
