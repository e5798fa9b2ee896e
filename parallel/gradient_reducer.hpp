// Sums gradients over the data-parallel group: per micro-step in a fixed order (bitwise mode) or once a step (fast
// mode).
//
// Bitwise mode (docs/architecture.md): in each micro-step the owner of an element receives the pieces of that
// micro-step's slots by all-to-all and adds them, in slot order, to one accumulator: ((acc + g0) + g1) + ... is the
// sequence of additions of a single process, whatever the number of ranks. The price is one reduction per micro-step.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "cluster/communicator.hpp"
#include "parallel/parameter_store.hpp"

namespace trireme::parallel {

class GradientReducer {
  public:
    /// `data` is the group among which the slots of a step are divided; store.options().parts must be its size.
    GradientReducer(ParameterStore& store, cluster::Communicator& data);

    /// `slots`: those of the whole step. Slot s belongs to rank s mod d, micro-step s div d. Local.
    void begin_step(std::int64_t slots);
    std::int64_t micro_steps() const { return micro_steps_; }
    /// Does this rank have a slot in that micro-step?
    bool has_slot(std::int64_t micro_step) const;
    void begin_slot() { store_.begin_slot(); }
    /// The unit's gradients of this micro-step are complete on this rank. Collective: every rank calls it for every
    /// unit, in one order, in every micro-step, with or without a slot of its own.
    void unit_done(std::size_t unit, std::int64_t micro_step);
    /// After it every rank holds the whole gradient of the step. Collective.
    void finish();

  private:
    void fold(Unit& unit, std::int64_t micro_step);
    std::int64_t slots_in(std::int64_t micro_step) const;

    ParameterStore& store_;
    cluster::Communicator& data_;
    std::int64_t slots_ = 0, micro_steps_ = 0;
    at::Tensor received_; ///< [d, part] pieces of one unit
    std::vector<cluster::Work> in_flight_;
};

} // namespace trireme::parallel
