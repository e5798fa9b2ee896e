// Predicts time and memory of a step of any framework from its description: rooflines of kernels,
// alpha-beta collectives, the action lists of the schedule run against a clock.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "framework/planning/machine.hpp"
#include "framework/planning/stack.hpp"
#include "framework/planning/workload.hpp"

namespace trireme::framework::planning {

/// Seconds of the critical path. They sum up to `step`.
struct StepTime {
    double step = 0;
    double compute = 0;          ///< kernels and host of the busiest stage
    double tensor_exposed = 0;   ///< collectives of tensor and context ranks
    double pipeline_exposed = 0; ///< transfers between stages that compute waits for
    double bubble = 0;           ///< of the busiest stage
    double data_exposed = 0;     ///< gradients and weights of data ranks, not hidden
    double optimizer = 0;
    double other = 0; ///< of a step, outside passes and update
};

/// Bytes at the peak of one rank.
struct MemoryUse {
    double weights = 0, gradients = 0, optimizer = 0, buffers = 0, activations = 0, loss = 0;
    double between_steps = 0; ///< of copies, those between steps less those in passes: may be < 0
    double overhead = 0;      ///< that the allocator holds and nobody uses

    double allocated() const {
        return weights + gradients + optimizer + buffers + activations + loss;
    }
    /// Returns what a framework prints as allocated: some print between steps, not at the peak.
    double printed(bool at_peak) const {
        return at_peak ? allocated() : weights + gradients + optimizer + buffers + between_steps;
    }
    /// Returns the most of passes and of the time between steps: freed blocks are used again.
    double reserved() const { return std::max(allocated(), printed(false)) + overhead; }
};

struct Prediction {
    StepTime time;
    std::vector<MemoryUse> stages; ///< by pipeline stage
    std::size_t fullest = 0;       ///< stage with the most reserved memory
    std::size_t printed_stage = 0; ///< whose memory the framework prints
    bool fits = false;             ///< reserved and context of each stage within the GPU's memory
};

/// Local, pure. Throws cluster::InputError where the workload cannot be cut so.
Prediction predict_step(Workload const& workload, Stack const& stack, Machine const& machine);

/// Apart, for a search: memory costs microseconds, time the length of the schedule.
StepTime predict_time(Workload const& workload, Stack const& stack, Machine const& machine);
std::vector<MemoryUse> predict_stages(Workload const& workload, Stack const& stack);

} // namespace trireme::framework::planning
