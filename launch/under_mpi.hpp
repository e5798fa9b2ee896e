// Runs the commands that compute on ranks.
#pragma once
#include <functional>

#include "cluster/communicator.hpp"

namespace trireme::launch {

/// Runs `body` under MPI. An exception on one rank ends all ranks: bad input, which every rank
/// sees, ends them in order; anything else aborts, since the others may wait in a collective.
int under_mpi(std::function<int(cluster::Communicator& world)> const& body);

} // namespace trireme::launch
