#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cluster/error.hpp"
#include "cluster/mpi_communicator.hpp"
#include "tests/cluster/conformance.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {

TEST(MpiConformance, World) {
    expect_conformance(world());
}

TEST(MpiConformance, ChunksOfABufferThatWouldPassTheCountLimit) {
    auto const small = cluster::make_mpi_world({.chunk_bytes = 64});
    expect_conformance(*small);
}

TEST(MpiConformance, SumsThroughMemoryInPiecesThatFillEverySlot) {
    auto const tiny = cluster::make_mpi_world({}, {512, 2, 0});
    expect_conformance(*tiny);
}

TEST(MpiConformance, SumsThroughMpiAlone) {
    auto const alone = cluster::make_mpi_world({}, {.least_bytes = SIZE_MAX});
    expect_conformance(*alone);
}

/// Sums of two groups, each far longer than a window.
TEST(MpiConformance, RanksMayWaitForCallsOfTwoGroupsInAnyOrder) {
    auto const one = cluster::make_mpi_world({}, {256, 2, 0});
    auto const other = one->split(0, one->rank(), "other");
    std::size_t const count = 1000;
    std::vector<double> a(count, 1.0 + one->rank()), b(count, 10.0 * (1 + one->rank()));
    for (int round = 0; round < 5; ++round) {
        auto sum =
            one->all_reduce({a.data(), count, cluster::DType::f64}, cluster::ReduceOp::max, "a");
        auto most =
            other->all_reduce({b.data(), count, cluster::DType::f64}, cluster::ReduceOp::max, "b");
        if (one->rank() % 2 == 0)
            sum.wait(), most.wait();
        else
            most.wait(), sum.wait();
    }
    EXPECT_EQ(a, std::vector<double>(count, one->size()));
    EXPECT_EQ(b, std::vector<double>(count, 10.0 * one->size()));
}

/// A rank that waits in MPI for the other moves its own sums on.
TEST(MpiConformance, CallsOfMpiDriveSumsThroughMemory) {
    auto const group = cluster::make_mpi_world({}, {256, 2, 0});
    std::vector<float> values(2000, 1.0F);
    auto sum = group->all_reduce({values.data(), values.size()}, cluster::ReduceOp::sum, "long");
    if (group->rank() == 0) {
        group->barrier("first");
        sum.wait();
    } else {
        sum.wait();
        group->barrier("first");
    }
    EXPECT_EQ(values, std::vector<float>(values.size(), static_cast<float>(group->size())));
}

TEST(MpiConformance, DeadlineNamesTheCall) {
    if (world().size() == 1) GTEST_SKIP() << "needs another rank to be late";
    // A job whose call passed its deadline ends; here it goes on, so what the library still holds
    // must outlive the test.
    // Rank 0 alone is in a hurry: the others may be as late as a busy machine makes them.
    auto* const hasty = cluster::make_mpi_world({.deadline = std::chrono::seconds(100)}).release();
    if (hasty->rank() == 0) hasty->set_deadline(std::chrono::milliseconds(150));
    static std::vector<double> values(1);
    // Rank 0 alone enters. Its broadcast partner never comes; rank 0 must not wait for ever.
    if (hasty->rank() == 0) {
        cluster::Work work = hasty->all_reduce({values.data(), 1, cluster::DType::f64},
                                               cluster::ReduceOp::sum, "lonely");
        try {
            work.wait();
            FAIL() << "no other rank took part";
        } catch (cluster::JobError const& error) {
            EXPECT_NE(std::string(error.what())
                          .find("all_reduce #0 'lonely' in group world passed its deadline"),
                      std::string::npos)
                << error.what();
        }
    }
    world().barrier("after the deadline");
    if (hasty->rank() != 0) // let the late ones in, so that the library can clean up
        hasty->all_reduce({values.data(), 1, cluster::DType::f64}, cluster::ReduceOp::sum, "lonely")
            .wait();
    world().barrier("all in");
}

} // namespace
} // namespace trireme::test
