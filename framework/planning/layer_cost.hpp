// Tells what parts of a transformer cost one rank for one micro-batch: kernels by their shapes,
// collective calls of tensor and context ranks, the host's launches.
#pragma once
#include <algorithm>

#include "framework/planning/collective_cost.hpp"
#include "framework/planning/prediction.hpp"

namespace trireme::framework::planning {

/// Seconds of one pass.
struct PassCost {
    double device = 0;     ///< kernels
    double host = 0;       ///< launches, at the same time as the device's work
    double collective = 0; ///< calls that compute waits for

    /// The host runs ahead of the device or holds it up; where both take as long, each waits for
    /// the other now and then.
    double seconds() const;
    PassCost& operator+=(PassCost const& o) {
        device += o.device, host += o.host, collective += o.collective;
        return *this;
    }
};

struct PartCost {
    PassCost forward;
    PassCost input_gradient;
    PassCost weight_gradient;
};

/// Bundles the run, the framework and the machine, which are the same for all layers of a rank.
struct Setting {
    Workload const& workload;
    Stack const& stack;
    Machine const& machine;

    /// Returns the tokens of one micro-batch on one rank.
    double tokens() const;
    Group tensor_group() const { return {workload.layout.tensor, 1}; }
    Group context_group() const { return {workload.layout.context, workload.layout.tensor}; }
    /// Ranks with the same weights.
    Group data_group() const;
    Group shard_group() const;
    /// Ranks with the same shard.
    Group replica_group() const;
};

PartCost layer_cost(Setting const& setting);
PartCost embedding_cost(Setting const& setting);
/// The last norm, the logits and the loss.
PartCost head_cost(Setting const& setting);

} // namespace trireme::framework::planning
