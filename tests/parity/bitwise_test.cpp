// Bitwise mode under mpirun: one SHA-256 of all weights, whatever the number of ranks. Each rank count is a run of its
// own; all compare with the hash of a single process, computed by every rank beside the run it takes part in.
#include <gtest/gtest.h>

#include "cluster/thread_communicator.hpp"
#include "tests/parity/tiny_llama.hpp"
#include "tests/support/mpi_world.hpp"

namespace trireme::test {
namespace {

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
    RunOptions const options{.mode = framework::NumericsMode::fast, .steps = 3};
    Curve const together = train_tiny(world(), options);
    Curve alone;
    cluster::run_as_threads(1, [&](auto& single) { alone = train_tiny(single, options); });
    EXPECT_NEAR(together.losses[0], alone.losses[0], 1e-6);
}

} // namespace
} // namespace trireme::test
