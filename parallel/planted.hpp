// Mistakes that tests switch on, one at a time, to show that `trireme parity` finds them and names
// their cause. They are of kinds that training frameworks have shipped. The switch is off in every
// program: only tests/support/planted_bug.hpp sets it, and the test `layers` fails where another
// file does, or where framework/parity reads it. docs/parity.md lists them.
#pragma once
#include <atomic>
#include <cstdint>

namespace trireme::parallel::planted {

enum class Bug : std::uint8_t {
    none,
    loss_over_tensor,     ///< loss divided by the tensor size
    norm_counts_replicas, ///< gradient norm adds the squares of every copy of a parameter
    tied_across_stages,   ///< the head's gradient of a tied embedding stays on the last stage
    tied_within_stage,    ///< the head's gradient of a tied embedding is not added to the stem's
    /// what is whole on every tensor rank keeps the gradient of one stretch of the sequence
    norms_not_summed,
    key_heads_not_summed, ///< shared key and value heads keep the gradient of one rank's queries
    dropout_by_rank,      ///< the rank is in the key of dropout masks
    padding_counted,      ///< rows that pad the vocabulary are classes
    means_averaged,       ///< the mean of the means of micro-batches
    /// a stage that is not the last ignores what comes back for its last micro-batch
    last_micro_batch_dropped,
    stale_gather,       ///< ZeRO 3 keeps what it gathered over the update
    bias_on_every_rank, ///< a row linear's bias goes into the sum over tensor ranks
    micro_batch_order,  ///< bitwise mode folds the micro-batches of a micro-step backwards
    /// a tensor rank's stretch of the sequence begins one token early for its positions
    sequence_offset,
    moments_lost,        ///< shard ranks after the first forget the first moment
    recompute_mask,      ///< a recomputed block draws other dropout masks
    clip_by_own_norm,    ///< each rank clips by the norm of what it keeps, and logs the global one
    replicas_not_summed, ///< gradients are summed over the shard axis, not over the replicate axis
    /// each tensor rank thinks that its part of the token table begins one row later
    table_edge,
    padding_trained, ///< tensor ranks give the padding token's row a gradient as an input
    /// gradients that go back to stretches of the sequence are averaged, not summed
    sequence_averaged,
    stale_tied_copy, ///< the last stage's copy of a tied embedding does not follow the update
    scale_by_tensor, ///< attention's scale depends a little on the tensor size
    /// of what tensor ranks hold copies of, the last rank's part of the gradient counts half
    copies_halved,
    losses_averaged, ///< the loss that is logged is divided by the number of data ranks
    decay_of_flat,   ///< under ZeRO, biases and norms in the flat buffer decay as well
};

inline std::atomic<Bug> active{Bug::none};

inline bool is(Bug bug) {
    return active.load(std::memory_order_relaxed) == bug;
}

/// While one is alive, this thread runs a forward pass for the second time.
class Recomputing {
  public:
    Recomputing() { now = true; }
    ~Recomputing() { now = false; }
    Recomputing(Recomputing const&) = delete;
    Recomputing& operator=(Recomputing const&) = delete;
    static inline thread_local bool now = false;
};

} // namespace trireme::parallel::planted
