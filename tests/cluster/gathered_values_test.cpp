#include <gtest/gtest.h>

#include <vector>

#include "cluster/gather_values.hpp"
#include "cluster/thread_communicator.hpp"

namespace trireme::cluster {
namespace {

struct Found {
    double value;
    std::int32_t sample;
};

TEST(GatherValues, KeepEveryRanksOwnNumberOfThem) {
    run_as_threads(3, [](Communicator& world) {
        std::vector<Found> const mine(static_cast<std::size_t>(world.rank()),
                                      {world.rank() + 0.5, world.rank()});
        auto const all = all_gather_values(world, mine, "found");
        ASSERT_EQ(all.size(), 3U);
        for (std::size_t r = 0; r < all.size(); ++r) {
            ASSERT_EQ(all[r].size(), r);
            for (auto const& found : all[r]) {
                EXPECT_EQ(found.value, static_cast<double>(r) + 0.5);
                EXPECT_EQ(found.sample, static_cast<std::int32_t>(r));
            }
        }
        auto const last = broadcast_values(world, mine, 2, "last");
        ASSERT_EQ(last.size(), 2U);
        EXPECT_EQ(last[1].value, 2.5);
    });
}

} // namespace
} // namespace trireme::cluster
