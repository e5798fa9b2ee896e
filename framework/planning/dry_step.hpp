// The micro-batches of a step that is described and not read.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "framework/model/pass.hpp"
#include "framework/optimizer/adamw.hpp"
#include "framework/optimizer/gradient_norm.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/planning/traffic.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::planning {

struct DryStep {
    std::vector<model::Pass> passes; ///< this rank's, one per micro-step
    std::int64_t micro_batches = 0;  ///< all ranks'
};

/// Cuts the step as a run would; tokens and labels are zeros, on `device`. Local.
DryStep dry_step(model::Config const& model, StepDescription const& step,
                 parallel::Mesh const& mesh, at::Device device = at::kMeta);

/// Does what the trainer does between two steps' reading of data
/// (framework/train/trainer_step.cpp): passes that were loaded, norm, update. Without a norm it is
/// taken for 0.
void train_once(parallelize::ParallelModel& model, optimizer::AdamW& optimizer,
                std::optional<optimizer::GradientNorm> const& norm, std::int64_t micro_batches);

} // namespace trireme::framework::planning
