// Times kernels on the machine that runs this, as `trireme calibrate` asks for.
#pragma once
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/parallelize/section.hpp"
#include "framework/planning/calibration.hpp"
#include "framework/planning/launch_price.hpp"

namespace trireme::framework::planning {

struct KernelPlan {
    parallelize::Compute compute = parallelize::Compute::fp32;
    std::vector<std::int64_t> rows, widths; ///< of matrix products: of the batch, of the model
    double most_flops = 5e9;                ///< of one product
    double seconds = 0.03;                  ///< of repeats of one product or attention
    std::vector<std::int64_t> sequences, head_sizes; ///< of attention
    std::vector<std::int64_t> tokens;                ///< of reference steps
};

/// Each at all ranks of `world` at once, mean over the ranks, in the fastest of a few rounds.
/// Products read weights that are in no cache. Collective; the same on every rank.
std::vector<ProductTime> time_products(KernelPlan const& plan, cluster::Communicator& world);
std::vector<AttentionTime> time_attention(KernelPlan const& plan, cluster::Communicator& world);

/// Whole steps of small models of three families, a layer each, run by the code that trains; each
/// kernel's time is that from its call to the next one's, in the least disturbed of several steps.
struct StepKernels {
    std::vector<OperationTime> operations; ///< products and attention left out
    double launch = 0;                     ///< s between the end of a kernel and the next call
    std::vector<TimedStep> steps; ///< of them without a watcher, in the median of rounds over all
};
StepKernels time_steps(KernelPlan const& plan, cluster::Communicator& world);

/// Bytes/s of a + b -> c in memory, on each rank while all do. Collective.
double memory_bandwidth(cluster::Communicator& world);

/// Threads and allocator as a run has them; returns the threads of a rank. Collective.
std::int64_t prepare_kernels(KernelPlan const& plan, cluster::Communicator& world);

} // namespace trireme::framework::planning
