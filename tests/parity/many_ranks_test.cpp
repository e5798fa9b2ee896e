// Depths and widths that no one machine has, as threads of one process: one hash in bitwise mode.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/parity/layouts.hpp"
#include "tests/parity/tiny_llama.hpp"

namespace trireme::test {
namespace {

using framework::parallelize::ParallelSection;

void expect_one_hash(std::vector<Layout> const& layouts, RunOptions options) {
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

TEST(ManyRanks, SixtyFourStages) {
    std::vector<Layout> layouts{
        {64,
         {.pipeline = 32, .schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 2}},
        {64,
         {.pipeline = 16,
          .zero = 3,
          .schedule = parallel::ScheduleKind::interleaved,
          .virtual_stages = 4,
          .recompute = framework::parallelize::Recompute::full}}};
    for (auto const schedule : {parallel::ScheduleKind::gpipe, parallel::ScheduleKind::one_f_one_b,
                                parallel::ScheduleKind::zero_bubble})
        layouts.push_back({64, {.pipeline = 64, .schedule = schedule}});
    expect_one_hash(layouts, {.steps = 2, .batch = {16, 20, 1}, .dropout = 0.1, .layers = 64});
}

TEST(ManyRanks, ZeroOnAHundredAndTwentyEight) {
    std::vector<Layout> layouts;
    for (int const zero : {0, 1, 2, 3}) layouts.push_back({128, {.zero = zero}});
    layouts.push_back({128, {.shard = 16, .zero = 3}});
    expect_one_hash(layouts, {.steps = 2, .batch = {150, 20, 1}});
}

} // namespace
} // namespace trireme::test
