#include "cluster/topology.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "cluster/host.hpp"

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

} // namespace trireme::cluster
