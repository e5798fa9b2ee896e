// Sizes of the pieces in which checkpoints are written and compared, of no influence on what is in
// a file or found.
#pragma once
#include <atomic>
#include <cstdint>

#include "cluster/for_now.hpp"

namespace trireme::framework::checkpoint {

/// Read once per tensor.
struct Pieces {
    /// bytes given to HDF5 at a time, under its mutex; at least 8
    std::atomic<std::int64_t> written = std::int64_t{16} << 20;
    /// elements of two checkpoints that are compared at a time
    std::atomic<std::int64_t> compared = std::int64_t{1} << 20;
};
inline Pieces pieces;

/// Small ones, for as long as one is alive: a few elements. One at a time.
struct SmallPieces {
    cluster::ForNow<std::int64_t> written{pieces.written, 52}, compared{pieces.compared, 7};
};

} // namespace trireme::framework::checkpoint
