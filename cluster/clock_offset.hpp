// Compares the clocks of ranks, so that times taken on several hosts can stand on one axis.
//
// Each rank in turn sends a message to rank 0 and gets it back with the times at which it came and
// went (NTP, RFC 5905, section 8; Score-P takes its offsets so too). Of many rounds the one with
// the shortest way counts. The difference of the clocks is then known up to half of that way,
// however the two directions share it. Between two measurements a clock that runs fast or slow is
// followed by a straight line.
#pragma once
#include <cstdint>
#include <functional>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// At `local` of this rank's clock, rank 0's showed `local + offset`, give or take `error`.
/// Nanoseconds. On rank 0 offset and error are 0.
struct ClockOffset {
    std::int64_t local = 0, offset = 0, error = 0;
};

/// Nanoseconds of the steady clock, which timelines are written in. Local.
std::int64_t steady_nanoseconds();

/// Collective over `world`; takes `rounds` messages there and back for each rank, one rank after
/// another.
ClockOffset measure_clock_offset(Communicator& world, int rounds = 24,
                                 std::function<std::int64_t()> const& clock = steady_nanoseconds);

} // namespace trireme::cluster
