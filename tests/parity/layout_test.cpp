// Layouts as threads of one process against a single process: one hash in bitwise mode.
#include <gtest/gtest.h>

#include "cluster/thread_communicator.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using framework::ParallelSection;

Curve train_as_threads(int ranks, RunOptions const& options) {
    std::vector<Curve> curves(static_cast<std::size_t>(ranks));
    cluster::run_as_threads(
        ranks, [&](auto& world) { curves[static_cast<std::size_t>(world.rank())] = train_tiny(world, options); });
    for (auto const& c : curves) {
        EXPECT_EQ(c.weights_sha256, curves[0].weights_sha256);
        EXPECT_EQ(c.norms, curves[0].norms);
    }
    return curves[0];
}

struct Case {
    int ranks;
    ParallelSection parallel;
};

std::string describe(Case const& c) {
    auto const& p = c.parallel;
    return std::to_string(c.ranks) + " ranks, pipeline " + std::to_string(p.pipeline) + " x " +
           std::to_string(p.virtual_stages) + " " + p.schedule + ", shard " + std::to_string(p.shard) + ", zero " +
           std::to_string(p.zero) + ", tensor " + std::to_string(p.tensor) + ", recompute " + p.recompute;
}

TEST(Bitwise, OneHashForEveryZeroStageDepthAndSchedule) {
    std::vector<Case> cases;
    for (int zero = 0; zero <= 3; ++zero) {
        for (int ranks : {1, 2, 4}) cases.push_back({ranks, {.zero = zero}});
        cases.push_back({4, {.shard = 2, .zero = zero, .recompute = "full"}});
        for (char const* schedule : {"gpipe", "1f1b", "zero-bubble"})
            cases.push_back({2 * (1 + zero % 2), {.pipeline = 2, .zero = zero, .schedule = schedule}});
        cases.push_back({4, {.pipeline = 2, .zero = zero, .schedule = "interleaved", .virtual_stages = 2}});
        cases.push_back({8,
                         {.pipeline = 2,
                          .shard = 2,
                          .zero = zero,
                          .schedule = "interleaved",
                          .virtual_stages = 2,
                          .recompute = "full"}});
    }
    for (bool const tied : {false, true}) {
        RunOptions options{.steps = 4, .tied = tied};
        Curve const alone = train_as_threads(1, options);
        for (auto const& c : cases) {
            options.parallel = c.parallel;
            Curve const curve = train_as_threads(c.ranks, options);
            EXPECT_EQ(curve.weights_sha256, alone.weights_sha256) << describe(c) << ", tied " << tied;
            EXPECT_EQ(curve.norms, alone.norms) << describe(c) << ", tied " << tied;
        }
    }
}

double worst(std::vector<double> const& a, std::vector<double> const& b) {
    EXPECT_EQ(a.size(), b.size());
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]) / std::abs(b[i]));
    return most;
}

/// In float64 nothing hides in rounding: heads, columns and words that do not divide, shared key heads, dropout.
TEST(Tensor, EqualsOneRankInFloat64) {
    for (bool const tied : {false, true}) {
        RunOptions options{
            .mode = framework::NumericsMode::fast, .compute = framework::Compute::fp64, .steps = 4, .tied = tied};
        Curve const alone = train_as_threads(1, options);
        for (Case const& c : {Case{2, {.tensor = 2}}, Case{3, {.tensor = 3}}, Case{4, {.tensor = 2, .zero = 1}},
                              Case{4, {.tensor = 2, .zero = 3, .recompute = "full"}},
                              Case{4, {.pipeline = 2, .tensor = 2, .recompute = "selective"}},
                              Case{8, {.pipeline = 2, .tensor = 2, .zero = 3, .schedule = "zero-bubble"}}}) {
            options.parallel = c.parallel;
            Curve const curve = train_as_threads(c.ranks, options);
            EXPECT_LT(worst(curve.losses, alone.losses), 1e-12) << describe(c) << ", tied " << tied;
            EXPECT_LT(worst(curve.norms, alone.norms), 1e-11) << describe(c) << ", tied " << tied;
        }
    }
}

TEST(Tensor, FirstLossInFloat32) {
    RunOptions options{.steps = 1};
    Curve const alone = train_as_threads(1, options);
    for (int const tensor : {2, 3}) {
        options.parallel = {.tensor = tensor};
        EXPECT_NEAR(train_as_threads(tensor, options).losses[0], alone.losses[0], 1e-6);
    }
}

} // namespace
} // namespace trireme::test
