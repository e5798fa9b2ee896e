// The micro-batches of a step that is described and not read.
#pragma once
#include <cstdint>
#include <vector>

#include "framework/model/pass.hpp"
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

} // namespace trireme::framework::planning
