// The code of a training step as it is, over the NCCL back end on the stand-in: its collectives on
// device memory and streams, the operations of a GPU computed by the host in the stream's place.
// See docs/gpu.md for what that shows and what it does not.
#pragma once
#include "tests/cluster/nccl_on_standin.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {

/// Three steps of a Llama of two layers, or one for each part of a pipeline; then with tied
/// embeddings.
RunOptions small_run(
    framework::parallelize::ParallelSection const& parallel,
    framework::parallelize::NumericsMode mode = framework::parallelize::NumericsMode::bitwise);

/// Trains and expects the weights and losses of `wanted`. In a step the host sees nothing of what
/// the step queues, and makes no call that blocks. The places that it names to the stand-in are
/// calls ("data all_reduce gradient"), "start", "batches", "results" and "end". Without `read_last`
/// the last results are left to the destructors.
Body training(RunOptions const& options, Curve const& wanted, bool read_last = true);

struct Layout {
    int ranks;
    framework::parallelize::ParallelSection parallel;
};

} // namespace trireme::test
