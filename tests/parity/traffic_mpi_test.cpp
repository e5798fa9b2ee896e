// Tests over MPI what traffic_test does with threads, on as many ranks as mpirun started.
#include <gtest/gtest.h>

#include "cluster/mpi_communicator.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/parity/traffic_step.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {

TEST(Traffic, CountedOverMpiIsPredicted) {
    auto const world = cluster::make_mpi_world({.observer = counter_by_thread()});
    int tried = 0;
    for (auto const& layout : layouts_to_count())
        for (auto const mode : {framework::parallelize::NumericsMode::fast,
                                framework::parallelize::NumericsMode::bitwise}) {
            if (layout.ranks != world->size()) continue;
            CountedStep const step{layout, {mode}, true};
            EXPECT_EQ(framework::planning::to_text(count_step(*world, step)),
                      framework::planning::to_text(predict_step(step, world->rank())))
                << "rank " << world->rank() << " of " << describe(layout.ranks, layout.parallel);
            ++tried;
        }
    EXPECT_GT(tried, 0) << "no layout for " << world->size() << " ranks";
}

} // namespace
} // namespace trireme::test
