// Proves again with MPI processes what parity proves with threads.
#include <gtest/gtest.h>

#include "framework/parity/certificate.hpp"
#include "tests/parity/golden_problem.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {

using namespace framework::parity;

TEST(ParityUnderMpi, EveryLayoutOfThisWorldPasses) {
    auto const problem = golden_problem("llama", framework::parallelize::NumericsMode::bitwise,
                                        framework::parallelize::Compute::fp32);
    auto const layouts = covering_of_world(golden_layouts("llama", world().size()), world().size());
    ASSERT_GE(layouts.size(), 12U);
    auto const report = check(problem, layouts, run_in(world()));
    EXPECT_TRUE(report.passed()) << summary_of(report);
}

} // namespace
} // namespace trireme::test
