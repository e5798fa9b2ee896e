// Counts what a rank sends in a step, by group of processes and collective, and predicts it without
// the other ranks.
//
// [Note: the same code predicts] A prediction has no formulas. The real model, store, reducer,
// gatherer and engine of one rank run on the meta device (shapes without memory) against a
// communicator that records. Only what depends on values cannot be predicted so; nothing in a step
// does. docs/collectives.md compares with the formulas of the papers.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cluster/communicator.hpp"
#include "data/loader.hpp"
#include "framework/model/config.hpp"
#include "framework/parallelize/section.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::planning {

struct Tally {
    std::int64_t calls = 0;
    std::int64_t elements = 0; ///< elements of this rank's inputs
    std::int64_t bytes = 0;    ///< that this rank sends (CallRecord::bytes_on_wire)

    bool operator==(Tally const&) const = default;
};
/// By name of the group: an axis of the mesh or one of parallel/group_names.hpp.
using Traffic = std::map<std::pair<std::string, cluster::Collective>, Tally>;

/// One line for each entry: "tensor all_gather: 16 calls, 12288 elements, 49152 bytes".
std::string to_text(Traffic const& traffic);

/// Counts the calls of one rank: give it to the communicator's options.
class TrafficCounter : public cluster::CallObserver {
  public:
    void on_start(std::string_view group, cluster::CallRecord const& call) override;
    void on_finish(std::string_view, std::uint64_t) override {}

    Traffic const& traffic() const { return traffic_; }
    void clear() { traffic_.clear(); }

  private:
    Traffic traffic_;
};

/// A step of some run.
struct StepDescription {
    parallel::MeshShape mesh;
    /// gives ZeRO stage, schedule and recomputation; the degrees are those of `mesh`
    parallelize::ParallelSection section = {};
    parallelize::NumericsSection numerics = {};
    std::int64_t tokens_per_micro_batch = 0;
    /// tokens of each sample of the step, in the order of the data
    std::vector<std::int64_t> lengths;
    bool base = false;    ///< a frozen base model computes too (train.base_divergence)
    bool average = false; ///< of the weights, kept beside them (optimizer.ema_decay)
};

/// Describes a step by samples of equal length, so that no data are needed.
struct EvenBatch {
    std::int64_t samples = 1, length = 0, tokens_per_micro_batch = 0;
};
/// Describes a step of such samples on `ranks` ranks. Throws InputError for a layout that cannot
/// work.
StepDescription even_step(model::Config const& model, parallelize::ParallelSection const& section,
                          parallelize::NumericsSection const& numerics, EvenBatch const& batch,
                          int ranks);

/// Predicts what `rank` sends from the load of the micro-batches until weights are renewed:
/// Engine::forward_backward, which under ZeRO 1 and 2 gathers what the step before renewed, and
/// WeightGatherer::refresh. The loss, norm and stop signal
/// that the trainer shares are not counted (some bytes for each micro-batch in fast mode). Local;
/// takes no memory for weights or activations. Throws InputError for a layout that cannot work.
Traffic predict(model::Config const& model, StepDescription const& step, int rank);

} // namespace trireme::framework::planning
