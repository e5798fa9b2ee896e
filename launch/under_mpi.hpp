// Runs the commands that compute on ranks.
#pragma once
#include <functional>

#include "cluster/communicator.hpp"

namespace trireme::launch {

/// Runs `body` under MPI. What one rank throws ends all ranks: bad input, which every rank sees, in
/// order; anything else by an abort, since the others may wait in a collective.
int under_mpi(std::function<int(cluster::Communicator& world)> const& body);

} // namespace trireme::launch
