// Tells where the ranks of a job sit.
#pragma once
#include <mpi.h>

#include <string>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::cluster {

struct Topology {
    std::string host;
    int local_rank = 0, local_size = 1; ///< among the ranks with this host name
    int cores = 1;                      ///< this process may run on, by its affinity mask
    /// its own cores, or its share if ranks of the host have the same mask
    int cores_per_rank = 1;
};

/// Collective over `world`.
Topology topology(Communicator& world);

/// The node of each rank, as the lowest rank that shares memory with it. Collective over `world`,
/// and blocking.
std::vector<int> nodes_of_ranks(MPI_Comm world);

} // namespace trireme::cluster
