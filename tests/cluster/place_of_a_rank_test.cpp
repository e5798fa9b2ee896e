#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/environment.hpp"
#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"
#include "cluster/topology.hpp"

namespace trireme::cluster {
namespace {

TEST(Environment, RefusesManyTasksThatSeeAWorldOfOne) {
    EXPECT_THROW(refuse_singletons("4", "2", 1), InputError);
    EXPECT_NO_THROW(refuse_singletons("4", "2", 4));
    EXPECT_NO_THROW(refuse_singletons("1", "0", 1));
    EXPECT_NO_THROW(refuse_singletons(nullptr, nullptr, 1));
}

TEST(Topology, RanksOfOneHostShareItsCores) {
    run_as_threads(3, [](Communicator& world) {
        Topology const t = topology(world);
        EXPECT_EQ(t.local_size, 3);
        EXPECT_EQ(t.local_rank, world.rank());
        EXPECT_EQ(t.cores_per_rank, std::max(1, t.cores / 3));
    });
}

} // namespace
} // namespace trireme::cluster
