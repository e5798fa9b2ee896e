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

struct Counts {
    int alone = 0, implied = 0;
    std::vector<std::string> open; ///< noticed by nothing
};

/// Each ordering of the stage `counted`.
Counts leave_out(Layout const& layout, int counted) {
    ComposedPath const path;
    RunOptions const options = small_run(layout.parallel);
    Curve const wanted = train_as_threads(layout.ranks, options);
    Body const body = training(options, wanted, false);
    standin::Options const machine{.longest_pause = 0};
    auto rows = leave_out_each_ordering(layout.ranks, body, machine, counted);
    int const more = find_what_implies(rows, layout.ranks, body, machine, counted);
    std::string const name =
        fmt::format("{}, rank {}", describe(layout.ranks, layout.parallel), counted);
    Counts counts;
    for (std::size_t k = 0; k < rows.size(); ++k) {
        if (rows[k].notice != Notice::none) {
            ++counts.alone;
        } else if (auto const other = rows[k].implied_by) {
            ++counts.implied;
            fmt::print("  {:>3} {:<70} by {:>3} {}\n", k, rows[k].what, *other, rows[*other].what);
        } else {
            counts.open.push_back(fmt::format("{} {}", k, rows[k].what));
        }
    }
    fmt::print("{}: {} orderings, {} noticed alone, {} implied by another ({} pairs tried)\n", name,
               rows.size(), counts.alone, counts.implied, more);
    EXPECT_GT(counts.alone, counts.implied) << name;
    for (auto const& one : counts.open) ADD_FAILURE() << name << ": " << one << " is not needed";
    return counts;
}

framework::config::ParallelSection interleaved(int zero = 0) {
    return {.pipeline = 2, .zero = zero, .schedule = "interleaved", .virtual_stages = 2};
}

TEST(DevicePipelines, EachOrderingOfAnInterleavedScheduleIsNeededOrImpliedByAnother) {
    for (int const rank : {0, 1}) leave_out({2, interleaved()}, rank);
}

TEST(DevicePipelines, EachOrderingOfOtherSchedules) {
    for (int const rank : {0, 1}) leave_out({2, {.pipeline = 2, .schedule = "zero-bubble"}}, rank);
    for (int const rank : {0, 2})
        leave_out({3, {.pipeline = 3, .schedule = "interleaved", .virtual_stages = 2}}, rank);
    for (int const rank : {0, 3}) leave_out({4, interleaved(3)}, rank);
}

} // namespace
} // namespace trireme::test
