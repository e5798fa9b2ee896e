// Pipelines with several parts on a stage, and with weight gradients apart: each ordering of a
// stage left out alone. In these a stream often has two reasons to wait for another, so that one of
// them may go. Such a one is told of with the other that does its work: the loss of both is
// noticed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/device/device_run.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

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
    }
    fmt::print("{}: {} of {} orderings noticed alone\n", name, rows.size() - open, rows.size());
    EXPECT_LT(8 * open, rows.size()) << name << ": more than one in eight may go";
}

framework::config::ParallelSection interleaved(int zero = 0) {
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
