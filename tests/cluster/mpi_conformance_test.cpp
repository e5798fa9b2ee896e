#include <gtest/gtest.h>

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

TEST(MpiConformance, DeadlineNamesTheCall) {
    if (world().size() == 1) GTEST_SKIP() << "needs another rank to be late";
    // A job whose call passed its deadline ends; here it goes on, so what the library still holds
    // must outlive the test.
    auto* const hasty =
        cluster::make_mpi_world({.deadline = std::chrono::milliseconds(150)}).release();
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
