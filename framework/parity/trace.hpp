// Records what one layout computed, whole and by name, so that layouts can be compared.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/parallelize/parallel_model.hpp"
#include "framework/parity/layouts.hpp"
#include "framework/parity/problem.hpp"
#include "framework/weights/whole_tensor.hpp"

namespace trireme::framework::parity {

/// Largest norm of the difference between two ranks' copies of a tensor; names without any are left
/// out.
using Spread = std::map<std::string, double>;

/// Holds what a step left behind.
struct StepTrace {
    Tensors gradient, weights, moments1, moments2;
    Spread gradient_copies, moment_copies, weight_copies; ///< of gradient, moments1 and weights
};

struct Trace {
    std::vector<double> losses, norms; ///< per step
    /// loss of each sample of step 1, summed over its labels
    std::map<std::int64_t, double> samples;
    Tensors gradient;                            ///< gradient of step 1
    Tensors first, first_moments;                ///< after step 1: weights, and Adam's first moment
    Tensors weights, moments;                    ///< after the last step
    Spread gradient_copies, first_moment_copies; ///< spreads of `gradient` and `first_moments`
    Spread weight_copies;                        ///< spread of `weights`
    std::string weights_sha256;                  ///< after the last step
    std::vector<StepTrace> each;                 ///< filled if Problem::keep_each_step
};

/// Runs problem.steps steps in `layout`. Collective over `world`, which has layout.ranks() ranks.
/// Every rank gets losses, norms and samples; tensors, spreads and the hash only those with
/// `whole`.
Trace run_layout(Problem const& problem, Layout const& layout,
                 parallelize::NumericsSection const& numerics, cluster::Communicator& world,
                 bool whole);

/// How a parity run gets a layout's trace. Threads of this process; or the ranks of an MPI world,
/// all of which must ask for the same layouts in the same order, and all of which get the whole
/// trace. Both run with SmallSizes (framework/parity/small_sizes.hpp).
using Runner = std::function<Trace(Problem const&, Layout const&)>;
Runner run_as_threads();
Runner run_in(cluster::Communicator& world);

/// One rank in the problem's own numerics, with SmallSizes.
Trace single_trace(Problem const& problem, std::int64_t tokens_per_micro_batch);

/// Every copy of the weights follows, as after an update. Collective.
void set_weights(parallelize::ParallelModel& model, Tensors const& weights);
/// Whole tensors of what the ranks keep; empty on ranks without `whole`. `copies` may be null.
/// Collective.
Tensors collect(parallelize::ParallelModel const& model, weights::Kept what, bool whole,
                Spread* copies = nullptr);
/// Losses of the samples of the last step, by sample id, on every rank. Collective.
std::map<std::int64_t, double> sample_losses(parallelize::ParallelModel const& model);

} // namespace trireme::framework::parity
