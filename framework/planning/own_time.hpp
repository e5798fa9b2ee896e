// The time of a step of our own runs: the model of steps (prediction.hpp) with the stack that
// describes Trireme, for a search over thousands of layouts.
#pragma once
#include "framework/model/config.hpp"
#include "framework/planning/block_times.hpp"
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

/// The step as the model of steps takes it. Throws InputError for layers that cannot be cut so.
Workload workload_of(OwnRun const& run, OwnPlan const& plan);

/// Seconds of a step by where they go. `stack` describes Trireme, `machine` has its constants
/// (constants.hpp). Of many micro-steps so many are simulated that the schedule repeats itself, and
/// the rest take as long as the last of these. Local, pure.
/// `measured`, if given, says what parts take on a calibrated machine (price_step.hpp).
StepTime own_time(OwnRun const& run, OwnPlan const& plan, Machine const& machine,
                  Stack const& stack, BlockTimes const* measured = nullptr);

} // namespace trireme::framework::planning
