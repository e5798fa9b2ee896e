#include "cluster/topology.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "cluster/host.hpp"
#include "cluster/mpi_communicator.hpp"

namespace trireme::cluster {

namespace {
struct Place {
    std::array<char, 256> host{};
    cpu_set_t mask;
};
Place own_place() {
    Place own{};
    CPU_ZERO(&own.mask);
    std::string const host = host_name();
    std::copy_n(host.data(), std::min(host.size(), own.host.size() - 1), own.host.data());
    sched_getaffinity(0, sizeof own.mask, &own.mask);
    return own;
}
} // namespace

Topology topology(Communicator& world) {
    Place own = own_place();
    std::vector<Place> all(static_cast<std::size_t>(world.size()));
    world
        .all_gather({&own, sizeof own, DType::u8}, {all.data(), all.size() * sizeof own, DType::u8},
                    "topology")
        .wait();
    Topology found{host_name(), 0, 0, std::max(1, CPU_COUNT(&own.mask)), 1};
    int sharing = 0;
    for (std::size_t r = 0; r < all.size(); ++r) {
        if (std::strcmp(all[r].host.data(), own.host.data()) != 0) continue;
        found.local_rank += static_cast<int>(r) < world.rank();
        ++found.local_size;
        sharing += CPU_EQUAL(&all[r].mask, &own.mask) != 0;
    }
    found.cores_per_rank = std::max(1, found.cores / std::max(1, sharing));
    return found;
}

std::vector<int> nodes_of_ranks(MPI_Comm world) {
    MPI_Comm node = MPI_COMM_NULL;
    int rank = 0, size = 0;
    check_mpi(MPI_Comm_rank(world, &rank), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(world, &size), "MPI_Comm_size");
    check_mpi(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node),
              "MPI_Comm_split_type");
    check_mpi(MPI_Bcast(&rank, 1, MPI_INT, 0, node), "MPI_Bcast");
    check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
    std::vector<int> of_rank(static_cast<std::size_t>(size));
    check_mpi(MPI_Allgather(&rank, 1, MPI_INT, of_rank.data(), 1, MPI_INT, world), "MPI_Allgather");
    return of_rank;
}

} // namespace trireme::cluster
