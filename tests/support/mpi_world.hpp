// The world of a test started with mpirun (trireme_mpi_test).
#pragma once
#include "cluster/communicator.hpp"

namespace trireme::test {

cluster::Communicator& world();

} // namespace trireme::test
