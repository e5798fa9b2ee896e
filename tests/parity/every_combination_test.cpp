// Bitwise mode over every combination of what it promises, and over depths and widths that no one
// machine has, as threads of one process: one SHA-256 of the weights, dropout on.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/parity/layouts.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using namespace framework;
using parallel::ScheduleKind;

struct Depth {
    int pipeline;
    parallel::ScheduleKind schedule;
    int virtual_stages;
};

void expect_one_hash(int steps) {
    RunOptions options{.steps = steps, .tied = true};
    auto const alone = train_as_threads(1, options);
    int layouts = 0;
    for (int const data : {1, 2, 4})
        for (int zero = 0; zero <= 3; ++zero)
            for (auto const& [pipeline, schedule, parts] : {Depth{1, ScheduleKind::one_f_one_b, 1},
                                                            {2, ScheduleKind::gpipe, 1},
                                                            {2, ScheduleKind::one_f_one_b, 1},
                                                            {2, ScheduleKind::interleaved, 2},
                                                            {2, ScheduleKind::zero_bubble, 1}})
                for (auto const recompute :
                     {parallelize::Recompute::none, parallelize::Recompute::full}) {
                    options.parallel = {.pipeline = pipeline,
                                        .zero = zero,
                                        .schedule = schedule,
                                        .virtual_stages = parts,
                                        .recompute = recompute};
                    auto const curve = train_as_threads(data * pipeline, options);
                    ASSERT_EQ(curve.weights_sha256, alone.weights_sha256)
                        << describe(data * pipeline, options.parallel);
                    ASSERT_EQ(std::ssize(curve.losses), steps);
                    ++layouts;
                }
    EXPECT_EQ(layouts, 120);
}

TEST(EveryCombination, OneHash) {
    expect_one_hash(5);
}

TEST(EveryCombination, LongOneHashAfterTwentySteps) {
    expect_one_hash(20);
}

void expect_the_hash_of_one(std::vector<Layout> const& layouts, RunOptions options) {
    auto const run = [&](Layout const& layout) {
        auto const start = std::chrono::steady_clock::now();
        options.parallel = layout.parallel;
        Curve const curve = train_as_threads(layout.ranks, options);
        fmt::print("{}: {:.1f} s\n", describe(layout.ranks, layout.parallel),
                   std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
        return curve;
    };
    Curve const alone = run({1, {}});
    for (auto const& layout : layouts) {
        Curve const curve = run(layout);
        EXPECT_EQ(curve.weights_sha256, alone.weights_sha256)
            << describe(layout.ranks, layout.parallel);
        EXPECT_EQ(curve.norms, alone.norms) << describe(layout.ranks, layout.parallel);
    }
}

TEST(ManyRanks, LongSixtyFourStages) {
    std::vector<Layout> layouts{
        {64,
         {.pipeline = 32, .schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 2}},
        {64,
         {.pipeline = 16,
          .zero = 3,
          .schedule = parallel::ScheduleKind::interleaved,
          .virtual_stages = 4,
          .recompute = parallelize::Recompute::full}}};
    for (auto const schedule : {parallel::ScheduleKind::gpipe, parallel::ScheduleKind::one_f_one_b,
                                parallel::ScheduleKind::zero_bubble})
        layouts.push_back({64, {.pipeline = 64, .schedule = schedule}});
    expect_the_hash_of_one(layouts,
                           {.steps = 2, .batch = {16, 20, 1}, .dropout = 0.1, .layers = 64});
}

TEST(ManyRanks, LongZeroOnAHundredAndTwentyEight) {
    std::vector<Layout> layouts;
    for (int const zero : {0, 1, 2, 3}) layouts.push_back({128, {.zero = zero}});
    layouts.push_back({128, {.shard = 16, .zero = 3}});
    expect_the_hash_of_one(layouts, {.steps = 2, .batch = {150, 20, 1}});
}

} // namespace
} // namespace trireme::test
