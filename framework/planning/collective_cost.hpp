// Tells what collective calls cost: rings whose links are those of a node or of the network, by
// where the ranks of the group are placed.
#pragma once
#include <cstdint>

#include "framework/planning/machine.hpp"

namespace trireme::framework::planning {

/// `size` ranks, `stride` apart. Groups that interleave on a node share its network.
struct Group {
    std::int64_t size = 1;
    std::int64_t stride = 1;
};

/// Nodes over which the group reaches, from a rank that begins a node.
std::int64_t nodes_of(Group const& group, Machine const& machine);

/// Bytes/s of a ring of the group, of each of its ranks.
double ring_bandwidth(Group const& group, Machine const& machine);

/// `bytes`: of the whole array, in each. `calls`: over which it is cut. 0 for one rank.
double all_reduce_seconds(Group const& group, Machine const& machine, double bytes,
                          double calls = 1);
/// A reduce-scatter costs as much.
double all_gather_seconds(Group const& group, Machine const& machine, double bytes,
                          double calls = 1);
/// Times a send to the rank `stride` further while all ranks of the node send, since they share its
/// network.
double transfer_seconds(std::int64_t stride, Machine const& machine, double bytes);

} // namespace trireme::framework::planning
