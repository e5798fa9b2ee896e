#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/thread_communicator.hpp"

namespace trireme::cluster {
namespace {

TEST(Work, WaitingForAStreamOnABackEndOfTheHostWaitsOnTheHost) {
    run_as_threads(2, [](Communicator& world) {
        double value = world.rank() + 1;
        Work work = world.all_reduce({&value, 1, DType::f64}, ReduceOp::sum, "stream");
        if (world.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        work.wait(nullptr);
        EXPECT_EQ(value, 3);
        EXPECT_TRUE(work.done());
    });
}

TEST(Communicator, DeadlinePassesWhenARankStaysAway) {
    auto body = [](Communicator& world) {
        if (world.rank() == 1) return;
        EXPECT_THROW(world.barrier("lonely"), JobError);
    };
    run_as_threads(2, body, {.deadline = std::chrono::milliseconds(50)});
}

TEST(WorkDeathTest, DroppingAWorkInFlightAborts) {
    auto drop = [] {
        auto const world = make_thread_world(2, {});
        float value = 0;
        static_cast<void>(world[0]->all_reduce({&value, 1, DType::f32}, ReduceOp::sum, "dropped"));
    };
    EXPECT_DEATH(drop(),
                 "all_reduce #0 'dropped' in group world was dropped before it was waited for");
}

} // namespace
} // namespace trireme::cluster
