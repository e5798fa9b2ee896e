// Sizes of the pieces in which columns are written and read, of no influence on what is in a file.
#pragma once
#include <atomic>
#include <cstdint>

#include "cluster/for_now.hpp"

namespace trireme::data {

/// Read once per call.
struct Pieces {
    /// bytes given to HDF5 at a time, under its mutex; at least a row
    std::atomic<std::int64_t> written = std::int64_t{16} << 20;
    /// numbers of a column that are read and checked at a time
    std::atomic<std::int64_t> checked = std::int64_t{1} << 18;
};
inline Pieces pieces;

/// Small ones, for as long as one is alive: a few numbers. One at a time.
struct SmallPieces {
    cluster::ForNow<std::int64_t> written{pieces.written, 24}, checked{pieces.checked, 5};
};

} // namespace trireme::data
