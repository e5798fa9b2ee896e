// Sizes of the pieces in which tensors of a folder are compared, of no influence on what is found.
#pragma once
#include <atomic>
#include <cstdint>

#include "cluster/for_now.hpp"

namespace trireme::framework::pretrained {

struct Pieces {
    /// rows of two tensors that are compared at a time
    std::atomic<std::int64_t> rows = 4096;
};
inline Pieces pieces;

/// Small ones, for as long as one is alive: a few rows. One at a time.
struct SmallPieces {
    cluster::ForNow<std::int64_t> rows{pieces.rows, 3};
};

} // namespace trireme::framework::pretrained
