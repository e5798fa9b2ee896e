// Measures what each part of a model takes, once for all layouts that have the part: a search adds
// these up where a dry run of each layout would take too long.
#pragma once
#include <cstdint>
#include <vector>

#include "framework/parallelize/section.hpp"

namespace trireme::framework::planning {

struct ProfileRequest {
    int tensor = 1;
    std::int64_t samples = 1, length = 1; ///< of a micro-batch
    parallelize::Recompute recompute = parallelize::Recompute::none;
    parallelize::Compute compute = parallelize::Compute::bf16;
    bool gpu = false;
};

/// Bytes on one rank, for one micro-batch.
struct BlockProfile {
    double saved_layer = 0; ///< kept from a layer's forward to its backward pass
    double layer_extra = 0; ///< besides, at the most, while a layer's backward pass runs
    /// of those, what a layer makes again for its weight gradients, and keeps where they wait
    double layer_again = 0;
    double head_extra = 0; ///< besides, at the most, while the head's passes run
    /// the head adds its weight gradient where it belongs if its backward pass comes next
    bool head_in_place = false;
    double boundary = 0; ///< what travels between stages
    double data = 0;     ///< ids and labels of two steps' micro-batch
    std::vector<std::int64_t> embeddings, layer, head, tied; ///< elements of each tensor of a unit
};

} // namespace trireme::framework::planning
