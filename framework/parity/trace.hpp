// What one layout computed, whole and by name, so that layouts can be compared.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/parity/layouts.hpp"
#include "framework/parity/problem.hpp"

namespace trireme::framework::parity {

/// Largest norm of the difference between two ranks' copies of a tensor; names without any are left out.
using Spread = std::map<std::string, double>;

struct Trace {
    std::vector<double> losses, norms;           ///< per step
    std::map<std::int64_t, double> samples;      ///< loss of each sample of step 1, summed over its labels
    Tensors gradient;                            ///< of step 1
    Tensors first, first_moments;                ///< after step 1: weights, and Adam's first moment
    Tensors weights, moments;                    ///< after the last step
    Spread gradient_copies, first_moment_copies; ///< of `gradient` and `first_moments`
    Spread weight_copies;                        ///< of `weights`
    std::string weights_sha256;                  ///< after the last step
};

/// Runs problem.steps steps in `layout`. Collective over `world`, which has layout.ranks() ranks. Every rank gets
/// losses, norms and samples; tensors, spreads and the hash only those with `whole`.
Trace run_layout(Problem const& problem, Layout const& layout, NumericsSection const& numerics,
                 cluster::Communicator& world, bool whole);

/// How a parity run gets a layout's trace. Threads of this process; or the ranks of an MPI world, all of which must ask
/// for the same layouts in the same order, and all of which get the whole trace.
using Runner = std::function<Trace(Problem const&, Layout const&)>;
Runner run_as_threads();
Runner run_in(cluster::Communicator& world);

/// The reference: one rank, one slot, float64.
Trace exact_trace(Problem const& problem);
/// One rank in the problem's own numerics.
Trace single_trace(Problem const& problem, std::int64_t tokens_per_slot);

/// What the reference makes of other slots, weights or models: variants that a diagnosis compares a layout with.
struct Variant {
    double loss = 0;
    Tensors gradient;
};
/// Forward and backward pass of `slots` with every loss times `loss_scale`, without an update. float64, one rank.
Variant reference_variant(ModelConfig const& model, Tensors const& weights, std::vector<data::Slot> const& slots,
                          std::uint64_t seed, std::int64_t step, double loss_scale);

} // namespace trireme::framework::parity
