// Places the tensors of a unit in its flat buffers. Pure arithmetic, no memory.
#pragma once
#include <cstdint>
#include <vector>

namespace trireme::parallel {

/// Elements of a canonical block as runs have it: sums of squares are taken per block, and shards
/// are cut at multiples of it. The block in force is `budgets.block` (parallel/budgets.hpp), which
/// proofs and tests make smaller.
inline constexpr std::int64_t kBlock = 4096;
/// Alignment of a tensor's start, in elements: 64 bytes of float32.
inline constexpr std::int64_t kAlign = 16;

/// [Note: blocks never straddle a cut]
/// A tensor's canonical blocks are counted from its own start, so that they are the same whatever
/// lies beside it. A shard cut falls on a multiple of the block of the flat buffer. Both hold at
/// once because a tensor that does not fit into the rest of the current flat block starts on a new
/// one; smaller ones share a block.
struct FlatLayout {
    std::vector<std::int64_t> offset; ///< start of each tensor, in elements
    std::vector<std::int64_t> count;  ///< its elements
    std::int64_t used = 0;            ///< end of the last tensor
    /// `used` rounded up so that `parts` equal cuts are multiples of the block
    std::int64_t total = 0;
    int parts = 1;

    std::int64_t part_size() const { return total / parts; }
};

/// Lays tensors of the given element counts out in order, to be cut in `parts` equal shards, by the
/// block in force.
FlatLayout lay_out(std::vector<std::int64_t> const& counts, int parts);

} // namespace trireme::parallel
