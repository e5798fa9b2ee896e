// The memory of our own runs as sums of what their parts take: for a search over thousands of
// layouts. Whoever needs it to the byte asks predict_memory (memory.hpp), which runs the code.
#pragma once
#include <cstdint>
#include <vector>

#include "framework/parallelize/section.hpp"
#include "framework/planning/block_profile.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::planning {

/// Bytes of one rank at its peak.
struct OwnMemory {
    double weights = 0, gradients = 0, optimizer = 0, activations = 0, buffers = 0, data = 0;

    double total() const { return weights + gradients + optimizer + activations + buffers + data; }
};

struct OwnLayout {
    parallel::MeshShape mesh;
    parallelize::ParallelSection section;
    parallelize::Compute compute = parallelize::Compute::bf16;
    bool tied = false;
    bool host_state = false; ///< offloaded state lies elsewhere than what computes
    int layers = 0;
    std::int64_t micro_steps = 1;
    bool base = false;    ///< a second model's weights (train.base_divergence)
    bool average = false; ///< of the weights (optimizer.ema_decay)
};

/// Memory of a rank of each pipeline stage. Local, pure. Throws InputError for layers that cannot
/// be cut so.
std::vector<OwnMemory> own_memory(OwnLayout const& layout, BlockProfile const& profile);

} // namespace trireme::framework::planning
