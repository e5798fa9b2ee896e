// The MPI back end: CPU tensors, and the control plane of GPU jobs. Non-blocking calls only, polled
// by Work: Open MPI 4.1 moves data only while it is called, and a blocking call could not honour a
// deadline (docs/decisions/0001).
#pragma once
#include <mpi.h>

#include <cstddef>
#include <memory>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// Sizes of the memory that ranks of a node share for the sums of a group (cluster/node_group.hpp),
/// the same on all members.
struct NodeSizes {
    std::size_t slot_bytes = std::size_t{256} << 10, slots = 8;
    /// Smaller calls are as quick through MPI, and every call goes that way where it is the largest
    /// number.
    std::size_t least_bytes = std::size_t{16} << 10;
};

/// A communicator over MPI_COMM_WORLD. MPI must stay initialised as long as it and its splits live.
/// Throws InputError if TRIREME_NODE_MEMORY is neither on nor off. Collective.
std::unique_ptr<Communicator> make_mpi_world(CommunicatorOptions const& options,
                                             NodeSizes const& sizes = {});

/// Throws JobError with MPI's own text.
void check_mpi(int code, char const* call);

} // namespace trireme::cluster
