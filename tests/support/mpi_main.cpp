// GoogleTest under MPI: every rank runs every test; a failure on any rank is a failure of the job.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cluster/environment.hpp"
#include "cluster/mpi_communicator.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {
cluster::Communicator* world_pointer = nullptr;
} // namespace

cluster::Communicator& world() {
    return *world_pointer;
}
} // namespace trireme::test

int main(int argc, char** argv) {
    using namespace trireme;
    cluster::Environment const environment(argc, argv);
    testing::InitGoogleTest(&argc, argv);
    auto const world = cluster::make_mpi_world({.deadline = std::chrono::seconds(100)});
    test::world_pointer = world.get();
    if (world->rank() != 0) {
        // Rank 0 speaks for all; the others print only what failed.
        auto& listeners = testing::UnitTest::GetInstance()->listeners();
        delete listeners.Release(listeners.default_result_printer());
    }
    std::int64_t failed = RUN_ALL_TESTS();
    if (failed != 0 && world->rank() != 0) {
        auto const* unit = testing::UnitTest::GetInstance();
        for (int s = 0; s < unit->total_test_suite_count(); ++s)
            for (int t = 0; t < unit->GetTestSuite(s)->total_test_count(); ++t) {
                auto const* info = unit->GetTestSuite(s)->GetTestInfo(t);
                for (int p = 0; p < info->result()->total_part_count(); ++p)
                    if (info->result()->GetTestPartResult(p).failed())
                        fmt::print(stderr, "[rank {}] {}.{}: {}\n", world->rank(),
                                   info->test_suite_name(), info->name(),
                                   info->result()->GetTestPartResult(p).message());
            }
    }
    world->all_reduce({&failed, 1, cluster::DType::i64}, cluster::ReduceOp::max, "test results")
        .wait();
    return failed != 0;
}
