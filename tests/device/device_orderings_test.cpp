// Every wait and every record of a training step is needed: without it an access to memory is not
// ordered, or a value is wrong. The last results are left to the destructors: having read them, the
// host would know that all is over, and the destructors would have nothing to wait for.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/device/device_run.hpp"
#include "tests/support/composed_path.hpp"

namespace trireme::test {
namespace {

using framework::parallelize::NumericsMode;

/// Each ordering of rank 0 left out alone.
void expect_each_one_needed(Layout const& layout) {
    ComposedPath const path;
    RunOptions const options = small_run(layout.parallel);
    Curve const wanted = train_as_threads(layout.ranks, options);
    expect_every_ordering_needed(describe(layout.ranks, layout.parallel), layout.ranks,
                                 training(options, wanted, false), {.longest_pause = 0});
}

TEST(DeviceOrderings, EachOneIsNeeded) {
    expect_each_one_needed({1, {}});
}

TEST(DeviceOrderings, LongEachOneIsNeededWithShardedParameters) {
    expect_each_one_needed({2, {.zero = 3}});
}

struct Row {
    int noticed = 0;
    std::vector<std::string> not_noticed; ///< layouts
};

using Table = std::map<std::string, Row>; ///< by place

void leave_out(Layout const& layout, NumericsMode mode, Table& table) {
    RunOptions const options = small_run(layout.parallel, mode);
    Curve const wanted = train_as_threads(layout.ranks, options);
    for (auto const& [name, notice] : leave_out_each_name(
             layout.ranks, training(options, wanted, false), {.longest_pause = 0})) {
        Row& row = table[name];
        if (notice == Notice::none)
            row.not_noticed.push_back(describe(layout.ranks, layout.parallel));
        else
            ++row.noticed;
    }
}

void expect_all_needed(Table const& table) {
    fmt::print("place, and in how many layouts it was noticed that it is missing\n");
    for (auto const& [name, row] : table) {
        fmt::print("  {:<80} {:>2}\n", name, row.noticed);
        EXPECT_GT(row.noticed, 0) << name;
        // A record may have no wait: the end of a call is watched even where nobody waits for it.
        bool const is_wait = !name.ends_with("record of event");
        for (auto const& layout : row.not_noticed)
            EXPECT_FALSE(is_wait) << name << " is not needed: " << layout;
    }
    EXPECT_GT(table.size(), 50U);
}

using framework::parallelize::Recompute;
using parallel::ScheduleKind;

using Layouts = std::vector<Layout>;
/// Between them they have every place.
Layouts const kFewLayouts{{2, {.zero = 0}},
                          {4, {.shard = 2, .zero = 3, .recompute = Recompute::full}},
                          {4, {.pipeline = 2, .zero = 3, .schedule = ScheduleKind::zero_bubble}},
                          {4, {.tensor = 2, .zero = 3, .recompute = Recompute::selective}}};
Layouts const kOtherLayouts{{1, {}},
                            {2, {.zero = 1}},
                            {2, {.zero = 2}},
                            {2, {.zero = 3}},
                            {2, {.pipeline = 2, .schedule = ScheduleKind::one_f_one_b}},
                            {2, {.tensor = 2}}};

void leave_out(Layouts const& layouts, NumericsMode mode, Table& table) {
    for (auto const& layout : layouts)
        // Tensor parallelism has no bitwise mode.
        if (mode == NumericsMode::fast || layout.parallel.tensor == 1)
            leave_out(layout, mode, table);
}

/// All waits of one place in the code left out, as if the line were not there, or all its records.
/// In some layouts a single one is not needed, since another wait for the same stream comes before
/// anything is read: so the places here, in every layout that has them.
TEST(DeviceOrderings, EachPlaceIsNeeded) {
    ComposedPath const path;
    Table table;
    leave_out(kFewLayouts, NumericsMode::fast, table);
    expect_all_needed(table);
}

TEST(DeviceOrderings, LongEachPlaceIsNeededInEachLayoutAndMode) {
    ComposedPath const path;
    Table table;
    leave_out(kFewLayouts, NumericsMode::fast, table);
    leave_out(kFewLayouts, NumericsMode::bitwise, table);
    Table const few = table;
    for (auto const mode : {NumericsMode::bitwise, NumericsMode::fast})
        leave_out(kOtherLayouts, mode, table);
    expect_all_needed(table);
    for (auto const& [name, row] : table)
        EXPECT_TRUE(few.contains(name)) << name << " is in none of the few layouts";
}

} // namespace
} // namespace trireme::test
