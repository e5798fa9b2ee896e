// Tells what each pipeline stage holds and does.
#pragma once
#include <cstdint>
#include <vector>

#include "framework/planning/prediction.hpp"
#include "parallel/pipeline_schedule.hpp"

namespace trireme::framework::planning {

/// Layers of each of the stages x chunks parts, in the order of the model. Layers that do not
/// divide are split as frameworks do: with embedding and head counted as a layer each where that
/// divides; by work where the stack does so; else equally, the last part with what is left.
std::vector<std::int64_t> layers_of_parts(Workload const& workload, Stack const& stack);

/// Parameters of a stage on one rank, before ZeRO cuts them.
double stage_parameters(Workload const& workload, Stack const& stack, std::int64_t stage);

/// The action lists of all stages: those of parallel/pipeline_schedule.hpp, and ZB-H2.
std::vector<parallel::StageActions> schedule_of(Workload const& workload);

struct PipelineParts {
    std::int64_t stages = 1, chunks = 1; ///< chunks: virtual stages of a rank
};
/// Chunks that a stage holds at most, each of one micro-step, as parallel/pipeline_schedule.hpp
/// promises.
std::int64_t chunks_in_flight(parallel::ScheduleKind schedule, PipelineParts parts,
                              std::int64_t stage, std::int64_t micro_steps);

/// Activations that a stage holds at most, each of one micro-batch of all the stage's layers.
double micro_batches_in_flight(Workload const& workload, std::int64_t stage);

} // namespace trireme::framework::planning
