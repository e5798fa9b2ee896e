// Sums gradients over the mesh: over data-parallel ranks per micro-step in a fixed order (bitwise
// mode) or as late as the ZeRO stage allows (fast mode), then over what else shares a parameter.
//
// [Note: order of the sums in bitwise mode]
// In each micro-step the owner of an element receives the pieces of that micro-step's micro-batches
// by all-to-all and adds them, in micro-batch order, to one accumulator: ((acc + g0) + g1) + ... is
// the sequence of additions of a single process, whatever the number of data ranks, ZeRO stage and
// grouping. The price is one reduction per micro-step. Sums over the tensor axis follow after the
// step, in rank order.
//
// Fast mode reduces once a step for ZeRO 0 (all-reduce) and 1 (reduce-scatter), and once a
// micro-step for 2 and 3, which keep no whole gradient.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "cluster/communicator.hpp"
#include "parallel/mesh.hpp"
#include "parallel/packed_rows.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::parallel {

class GradientReducer {
  public:
    /// Both must outlive the reducer. Collective over the tensor axis, and on a GPU over the shard
    /// axis.
    GradientReducer(ParameterStore& store, Mesh const& mesh);

    /// `micro_batches`: those of the whole step. Micro-batch s belongs to data rank s mod d,
    /// micro-step s div d. Local.
    void begin_step(std::int64_t micro_batches);
    /// Begins a step without gradients.
    void divide(std::int64_t micro_batches);
    std::int64_t micro_steps() const { return micro_steps_; }
    /// Tells whether this rank has a micro-batch in that micro-step.
    bool has_micro_batch(std::int64_t micro_step) const;
    /// The unit's gradients of this micro-step are complete on this rank. Collective over the data
    /// ranks: every rank calls it for every unit, in one order, in every micro-step, with or
    /// without a micro-batch of its own.
    void unit_done(std::size_t unit, std::int64_t micro_step);
    /// After it every rank holds what it keeps of the whole gradient of the step. Collective over
    /// the mesh.
    void finish();

  private:
    /// One buffer on its way to the ranks that keep it.
    struct InFlight {
        Unit* unit;
        std::size_t use;
        bool last; ///< of the step for this use
        /// arrived: to be added to the kept sum; undefined if it is that sum
        at::Tensor source, arrived;
        cluster::Work work;
        PackedRows packed = {}; ///< its values are the source, if there are any
    };
    void reduce(Unit& unit, bool last);
    /// Starts the sum that all ranks keep.
    void reduce_to_all(Unit& unit, std::size_t use, at::Tensor const& buffer, bool last);
    /// `buffer`: of that use; undefined if nothing was delivered to it.
    void reduce_to_owners(Unit& unit, std::size_t use, at::Tensor const& buffer, bool last);
    void complete_first();
    /// Starts the sum over replicas of what this rank keeps.
    void add_over_replicas(Unit& unit, std::size_t use);
    void fold(Unit& unit, std::int64_t micro_step);
    /// Makes progress, and completes in order what has arrived, unless a sum over replicas follows
    /// it.
    void poll();
    void complete_all();
    void gather_folded(Unit& unit);
    void add_uses(Unit& unit);
    void add_over_stages(Unit& unit);
    void add_over_tensor_ranks();
    std::int64_t micro_batches_in(std::int64_t micro_step) const;

    ParameterStore& store_;
    Mesh const& mesh_;
    cluster::Communicator& data_;
    std::unique_ptr<cluster::Communicator> own_group_; ///< null: gradients share the shard axis
    cluster::Communicator& shard_;                     ///< carries gradients
    /// groups by number of ranks that hold one slice
    std::map<int, std::unique_ptr<cluster::Communicator>> sharers_;
    std::int64_t micro_batches_ = 0, micro_steps_ = 0;
    std::list<InFlight> in_flight_;
    std::list<InFlight> over_replicas_;
};

} // namespace trireme::parallel
