// Brings weights to where they are computed with: once after an update (ZeRO 1 and 2), or for as
// long as a block needs them (ZeRO 3).
#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "cluster/communicator.hpp"
#include "parallel/mesh.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::parallel {

class WeightGatherer {
  public:
    /// Both must outlive the gatherer.
    WeightGatherer(ParameterStore& store, Mesh const& mesh);

    /// The master weights have changed: renews tied copies on other stages, and what this rank
    /// keeps of every compute copy. Under ZeRO 1 and 2 all units are sharded then: the others'
    /// parts come while the next pass computes. Collective over the mesh. Throws JobError while a
    /// pass gathers.
    void refresh();
    /// Starts to gather a sharded unit; under ZeRO 1 and 2 all of them, in their order. Collective
    /// over the shard group, as are the two below: all ranks of a data group call them for the same
    /// units in the same order.
    void prefetch(std::size_t unit);
    /// The unit is unsharded when it returns.
    void acquire(std::size_t unit);
    /// ZeRO 3: frees the compute copy. Otherwise nothing.
    void release(std::size_t unit);

  private:
    void copy_over_stages(Unit& unit);
    void gather(std::size_t unit);

    ParameterStore& store_;
    Mesh const& mesh_;
    cluster::Communicator& shard_;
    std::map<std::size_t, cluster::Work> in_flight_;
};

} // namespace trireme::parallel
