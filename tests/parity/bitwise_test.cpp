// Bitwise mode under mpirun: one SHA-256 of all weights, whatever the number of ranks. Each rank
// count is a run of its own; all compare with the hash of a single process, computed by every rank
// beside the run it takes part in.
#include <gtest/gtest.h>

#include "cluster/thread_communicator.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {

using namespace framework;

TEST(Bitwise, OneHashForEveryRankCount) {
    for (bool const tied : {false, true}) {
        RunOptions const options{.tied = tied};
        Curve const together = train_tiny(world(), options);
        Curve alone;
        cluster::run_as_threads(1, [&](auto& single) { alone = train_tiny(single, options); });
        EXPECT_EQ(together.weights_sha256, alone.weights_sha256);
        EXPECT_EQ(together.norms, alone.norms);
        if (world().rank() == 0)
            std::printf("weights of 20 steps, tied %d, %d ranks: %s\n", tied, world().size(),
                        together.weights_sha256.c_str());
    }
}

TEST(Bitwise, TheHashSeesTheSeedOfDropout) {
    RunOptions options;
    Curve const with = train_tiny(world(), options);
    options.dropout = 0;
    EXPECT_NE(with.weights_sha256, train_tiny(world(), options).weights_sha256);
}

TEST(FastMode, MpiRanksStayWithinTheFirstLossBound) {
    RunOptions const options{.mode = parallelize::NumericsMode::fast, .steps = 3};
    Curve const together = train_tiny(world(), options);
    Curve alone;
    cluster::run_as_threads(1, [&](auto& single) { alone = train_tiny(single, options); });
    EXPECT_NEAR(together.losses[0], alone.losses[0], 1e-6);
}

/// Lists layouts that pass as threads (layout_test), to be proved again with processes as ranks.
std::vector<parallelize::ParallelSection> layouts_of(int ranks) {
    std::vector<parallelize::ParallelSection> all{{.zero = 1}, {.zero = 2}, {.zero = 3}};
    if (ranks % 2 == 0) {
        for (auto const schedule :
             {parallel::ScheduleKind::gpipe, parallel::ScheduleKind::one_f_one_b,
              parallel::ScheduleKind::zero_bubble})
            all.push_back({.pipeline = 2, .zero = 3, .schedule = schedule});
        all.push_back({.pipeline = 2,
                       .schedule = parallel::ScheduleKind::interleaved,
                       .virtual_stages = 2,
                       .recompute = parallelize::Recompute::full});
        all.push_back({.pipeline = 1, .tensor = 2, .recompute = parallelize::Recompute::selective});
    }
    if (ranks % 4 == 0) {
        all.push_back({.shard = 2, .zero = 3});
        all.push_back({.tensor = 2, .zero = 3});
        all.push_back({.pipeline = 2, .tensor = 2, .zero = 1});
        all.push_back({.pipeline = 2,
                       .tensor = 2,
                       .zero = 3,
                       .schedule = parallel::ScheduleKind::zero_bubble});
    }
    if (ranks == 3) all.push_back({.tensor = 3, .zero = 1});
    return all;
}

TEST(Layouts, EveryCompositionUnderMpi) {
    RunOptions options{.steps = 4, .tied = true};
    RunOptions exact{
        .mode = parallelize::NumericsMode::fast, .compute = parallelize::Compute::fp64, .steps = 3};
    Curve const alone = train_as_threads(1, options), oracle = train_as_threads(1, exact);
    for (auto const& parallel : layouts_of(world().size())) {
        std::string const what = describe(world().size(), parallel);
        options.parallel = exact.parallel = parallel;
        if (parallel.tensor == 1) {
            EXPECT_EQ(train_tiny(world(), options).weights_sha256, alone.weights_sha256) << what;
        } else {
            Curve const curve = train_tiny(world(), exact);
            for (std::size_t i = 0; i < oracle.losses.size(); ++i) {
                EXPECT_NEAR(curve.losses[i], oracle.losses[i], 1e-12 * oracle.losses[i]) << what;
                EXPECT_NEAR(curve.norms[i], oracle.norms[i], 1e-11 * oracle.norms[i]) << what;
            }
        }
    }
}

} // namespace
} // namespace trireme::test
