// Locates a rank on the axes that divide parameters and gradients. Pure integers.
#pragma once

namespace trireme::parallel {

struct StorePlace {
    int replicate = 1, replicate_rank = 0;
    int shard = 1, shard_rank = 0;
    int tensor = 1, tensor_rank = 0;

    int parts() const { return replicate * shard; } ///< data-parallel ranks
    /// Number of this rank among them, and of the equal part of every flat buffer whose gradient it
    /// folds and whose bytes it writes. Parts of one shard group lie together: part = shard_rank *
    /// replicate + replicate_rank.
    int part() const { return shard_rank * replicate + replicate_rank; }
};

} // namespace trireme::parallel
