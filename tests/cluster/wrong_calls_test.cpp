#include <gtest/gtest.h>

#include <vector>

#include "cluster/error.hpp"
#include "cluster/fake_communicator.hpp"
#include "cluster/thread_communicator.hpp"

namespace trireme::cluster {
namespace {

TEST(ThreadCommunicator, AMismatchIsFoundBeforeAnyDataMoves) {
    auto body = [](Communicator& world) {
        double value = 1;
        if (world.rank() == 0)
            world.barrier("one");
        else
            world.broadcast({&value, 1, DType::f64}, 0, "other").wait();
    };
    EXPECT_THROW(run_as_threads(2, body), JobError);
}

TEST(Communicator, RefusesWrongSizes) {
    auto const world = make_fake_world(0, 4, {});
    std::vector<float> a(10), b(30);
    EXPECT_THROW(static_cast<void>(world->all_gather({a.data(), 10, DType::f32},
                                                     {b.data(), 30, DType::f32}, "short")),
                 JobError);
    EXPECT_THROW(static_cast<void>(world->broadcast({a.data(), 10, DType::f32}, 4, "root")),
                 JobError);
}

} // namespace
} // namespace trireme::cluster
