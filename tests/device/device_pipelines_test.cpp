// Pipelines with several parts on a stage, and with weight gradients apart: each ordering of a
// stage left out alone. In these a stream often has two reasons to wait for another, so that one of
// them may go: the vector clocks of the stand-in then find every access ordered by those that are
// left. kImplied names the places where that was seen; an ordering of any other place that may go
// is a fault, of the code or of the clocks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "tests/device/device_run.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

constexpr std::array kImplied{
    // A later message of the same link is waited for before anything reads the earlier one.
    " exchange activation: computing stream waits for event",
    " exchange activation gradient: computing stream waits for event",
    // The copy of a tied weight and its gradient stand between waits of the same two stages.
    "pipeline exchange weight: record of event",
    "pipeline exchange weight: stream waits for event",
    "pipeline exchange weight: computing stream waits for event",
    "pipeline exchange gradient: record of event",
    "pipeline exchange gradient: computing stream waits for event",
    // The next unit's gather follows in the same stream, and is waited for before both are read.
    "shard all_gather weight: record of event",
    "shard all_gather weight: computing stream waits for event",
};

/// Each ordering of the stage `counted`.
void leave_out(Layout const& layout, int counted) {
    ComposedPath const path;
    RunOptions const options = small_run(layout.parallel);
    Curve const wanted = train_as_threads(layout.ranks, options);
    auto const rows = leave_out_each_ordering(layout.ranks, training(options, wanted, false),
                                              {.longest_pause = 0}, counted);
    std::string const name =
        fmt::format("{}, rank {}", describe(layout.ranks, layout.parallel), counted);
    std::size_t open = 0;
    for (std::size_t k = 0; k < rows.size(); ++k) {
        if (rows[k].notice != Notice::none) continue;
        ++open;
        fmt::print("  {:>3} {} may go\n", k, rows[k].what);
        EXPECT_TRUE(std::ranges::any_of(
            kImplied, [&](std::string const& place) { return rows[k].what.ends_with(place); }))
            << name << ": " << rows[k].what << ": may go";
    }
    fmt::print("{}: {} of {} orderings noticed alone\n", name, rows.size() - open, rows.size());
    EXPECT_LT(6 * open, rows.size()) << name << ": more than one in six may go";
}

framework::parallelize::ParallelSection interleaved(int zero = 0) {
    return {.pipeline = 2,
            .zero = zero,
            .schedule = parallel::ScheduleKind::interleaved,
            .virtual_stages = 2};
}

TEST(DevicePipelines, MostOrderingsOfAnInterleavedScheduleAreNeededAlone) {
    for (int const rank : {0, 1}) leave_out({2, interleaved()}, rank);
}

TEST(DevicePipelines, MostOrderingsOfOtherSchedulesAreNeededAlone) {
    for (int const rank : {0, 1})
        leave_out({2, {.pipeline = 2, .schedule = parallel::ScheduleKind::zero_bubble}}, rank);
    for (int const rank : {0, 2})
        leave_out(
            {3,
             {.pipeline = 3, .schedule = parallel::ScheduleKind::interleaved, .virtual_stages = 2}},
            rank);
    for (int const rank : {0, 3}) leave_out({4, interleaved(3)}, rank);
}

} // namespace
} // namespace trireme::test
