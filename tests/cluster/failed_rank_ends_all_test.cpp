#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"

namespace trireme::cluster {
namespace {

TEST(ThreadCommunicator, OneFailedRankEndsTheOthersWithItsReason) {
    auto body = [](Communicator& world) {
        if (world.rank() == 2) throw JobError("disk on fire");
        world.barrier("never complete");
    };
    try {
        run_as_threads(4, body);
        FAIL();
    } catch (JobError const& error) {
        EXPECT_STREQ(error.what(), "disk on fire");
    }
}

} // namespace
} // namespace trireme::cluster
