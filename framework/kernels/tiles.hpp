// Sizes at which loops of the kernels are cut. Proofs and tests make them small
// (framework/parity/small_sizes.hpp), so that a tiny model has more than one piece of everything.
#pragma once
#include <atomic>
#include <cstdint>

namespace trireme::framework::kernels {

/// Sizes of tiles, read once per call. Where a size decides how a sum is cut it decides its
/// rounding, so it must be the same on all ranks of a run.
struct Tiles {
    /// elements of an update that a thread takes at a time
    std::atomic<std::int64_t> update = 16384;
    /// rows of a norm that are summed into one partial weight gradient
    std::atomic<std::int64_t> rows = 64;
    /// query rows of attention that are in the cache at a time
    std::atomic<std::int64_t> queries = 32;
    /// Philox blocks of a dropout mask drawn at a time, at most 16
    std::atomic<std::int64_t> lanes = 16;
};
inline Tiles tiles;

} // namespace trireme::framework::kernels
