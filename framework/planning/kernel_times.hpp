// Times kernels on the machine that runs this, as `trireme calibrate` asks for.
#pragma once
#include <functional>
#include <memory>
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

/// Times each at all ranks of `world` at once, mean over the ranks, in the fastest of a few rounds,
/// after each of which `between` is called. Products read weights that are in no cache. Collective;
/// the same on every rank.
std::vector<ProductTime> time_products(KernelPlan const& plan, cluster::Communicator& world,
                                       std::function<void()> const& between);
std::vector<AttentionTime> time_attention(KernelPlan const& plan, cluster::Communicator& world);

/// Holds what steps of small models of three families gave, a layer each, run by the code that
/// trains.
struct StepKernels {
    /// products and attention left out; a kernel's time is that from its call to the next one's, in
    /// the least disturbed of several steps
    std::vector<OperationTime> operations;
    double launch = 0;            ///< s between the end of a kernel and the next call
    std::vector<TimedStep> steps; ///< without a watcher, in the median of the rounds
};

/// Times such steps, in rounds that lie apart: what disturbs a machine comes and goes, and a run
/// meets it as it is on the whole. `plan` and `world` must outlive it.
class ReferenceSteps {
  public:
    ReferenceSteps(KernelPlan const& plan, cluster::Communicator& world);
    ~ReferenceSteps();
    ReferenceSteps(ReferenceSteps const&) = delete;
    ReferenceSteps& operator=(ReferenceSteps const&) = delete;

    /// Runs each step six times, of which the first is not counted. Collective.
    void time_round();
    /// Runs each step again with its kernels timed one by one, after one round at least.
    /// Collective; the same on every rank.
    StepKernels result();

  private:
    struct Steps;
    KernelPlan const& plan_;
    cluster::Communicator& world_;
    std::unique_ptr<Steps> steps_;
};

/// Bytes/s of a + b -> c in memory, on each rank while all do. Collective.
double memory_bandwidth(cluster::Communicator& world);

/// Threads and allocator as a run has them; returns the threads of a rank. Collective.
std::int64_t prepare_kernels(KernelPlan const& plan, cluster::Communicator& world);

} // namespace trireme::framework::planning
