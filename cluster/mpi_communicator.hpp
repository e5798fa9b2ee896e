// The MPI back end: CPU tensors, and the control plane of GPU jobs. Non-blocking calls only, polled
// by Work: Open MPI 4.1 moves data only while it is called, and a blocking call could not honour a
// deadline (docs/decisions/0001).
#pragma once
#include <mpi.h>

#include <memory>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

/// A communicator over MPI_COMM_WORLD. MPI must stay initialised as long as it and its splits live.
/// Collective.
std::unique_ptr<Communicator> make_mpi_world(CommunicatorOptions const& options);

/// Throws JobError with MPI's own text.
void check_mpi(int code, char const* call);

} // namespace trireme::cluster
