#include "parallel/pipeline_simulation.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace trireme::parallel {
namespace {

using Kind = Action::Kind;
constexpr double kTolerance = 1e-9;

Simulation run(ScheduleKind kind, int stages, int chunks, std::int64_t micro_steps,
               PartTimes const& times) {
    return simulate(make_schedule(kind, stages, chunks, micro_steps),
                    std::vector<PartTimes>(static_cast<std::size_t>(stages * chunks), times));
}

double total(PartTimes const& t) {
    return t.forward + t.input_gradient + t.weight_gradient;
}

/// Ratios of forward, input and weight gradient time, with each the longest, the shortest and
/// equal.
std::vector<PartTimes> times() {
    std::vector<PartTimes> all;
    for (double f : {0.5, 1.0, 2.0})
        for (double i : {0.5, 1.0, 1.5})
            for (double w : {0.5, 1.0, 1.5}) all.push_back({f, i, w});
    return all;
}

TEST(PipelineSimulation, GpipeAndOneFOneBTakeMicroStepsPlusStagesMinusOne) {
    for (ScheduleKind kind : {ScheduleKind::gpipe, ScheduleKind::one_f_one_b})
        for (PartTimes const& t : times())
            for (int p = 1; p <= 8; ++p)
                for (std::int64_t m = 1; m <= 17; ++m) {
                    Simulation const r = run(kind, p, 1, m, t);
                    ASSERT_NEAR(r.makespan, static_cast<double>(m + p - 1) * total(t), kTolerance);
                    for (double bubble : r.bubble)
                        ASSERT_NEAR(bubble, static_cast<double>(p - 1) / static_cast<double>(m),
                                    kTolerance);
                }
}

TEST(PipelineSimulation, ChunksDivideTheBubble) {
    for (PartTimes const& t : times())
        for (int p = 1; p <= 8; ++p)
            for (int v = 2; v <= 4; ++v)
                for (std::int64_t m : {p, 2 * p, 4 * p})
                    for (double bubble : run(ScheduleKind::interleaved, p, v, m, t).bubble)
                        ASSERT_NEAR(bubble, (p - 1.0) / static_cast<double>(v * m), kTolerance);
}

TEST(PipelineSimulation, ARaggedGroupTakesNoLongerThanAFullOne) {
    for (int p = 2; p <= 8; ++p)
        for (int v = 2; v <= 4; ++v)
            for (std::int64_t m = 1; m <= 17; ++m) {
                std::int64_t const full = (m + p - 1) / p * p;
                double const whole = run(ScheduleKind::interleaved, p, v, full, {}).makespan;
                double const ragged = run(ScheduleKind::interleaved, p, v, m, {}).makespan;
                ASSERT_LE(ragged, whole + kTolerance);
                EXPECT_TRUE(m % p == 0 || ragged < whole - kTolerance)
                    << "places without a micro-step cost time";
            }
}

/// Qi et al. 2023: (p - 1)(tF + tB - tW), which assumes that no pass is much longer than another.
/// Whatever the times, the last stage cannot start before (p - 1) tF, and the first, which may hold
/// no more than 1F1B, waits (p - 1) tB for its first gradient. The schedule meets the largest of
/// the three.
TEST(PipelineSimulation, ZeroBubbleMeetsThePapersBubble) {
    for (PartTimes const& t : times())
        for (int p = 1; p <= 8; ++p)
            for (std::int64_t m = p; m <= 17; ++m) {
                double const wait = std::max({t.forward, t.input_gradient,
                                              t.forward + t.input_gradient - t.weight_gradient});
                Simulation const r = run(ScheduleKind::zero_bubble, p, 1, m, t);
                ASSERT_NEAR(r.makespan, static_cast<double>(m) * total(t) + (p - 1) * wait,
                            kTolerance);
            }
}

TEST(PipelineSimulation, ZeroBubbleIsNeverSlowerThanOneFOneB) {
    for (PartTimes const& t : times())
        for (int p = 2; p <= 8; ++p)
            for (std::int64_t m = 1; m <= 17; ++m)
                ASSERT_LT(run(ScheduleKind::zero_bubble, p, 1, m, t).makespan,
                          run(ScheduleKind::one_f_one_b, p, 1, m, t).makespan);
}

TEST(PipelineSimulation, ATransferDelaysTheOtherStageAlone) {
    auto const lists = make_schedule(ScheduleKind::gpipe, 2, 1, 1);
    Simulation const r = simulate(lists, {{1, 1, 1}, {2, 1, 1}}, 0.5);
    EXPECT_DOUBLE_EQ(r.spans[1][0].begin, 1.5);
    EXPECT_DOUBLE_EQ(r.spans[1][1].begin, 3.5);
    EXPECT_DOUBLE_EQ(r.spans[0][1].begin, 6.0);
    EXPECT_DOUBLE_EQ(r.makespan, 8.0);
    EXPECT_DOUBLE_EQ(r.bubble[0], 5.0 / 3.0);
    EXPECT_DOUBLE_EQ(r.bubble[1], 1.0);
    EXPECT_DOUBLE_EQ(simulate(make_schedule(ScheduleKind::gpipe, 1, 1, 1), {{}}, 0.5).makespan,
                     3.0);
}

TEST(PipelineSimulation, ADeadlockNamesTheFirstStuckActionOfEachStage) {
    std::vector<StageActions> const lists{
        {{Kind::forward, 0, 0}, {Kind::backward, 0, 0}, {Kind::forward, 1, 0}},
        {{Kind::forward, 0, 0}, {Kind::forward, 1, 0}, {Kind::backward, 0, 0}}};
    Simulation const r = simulate(lists, {{}, {}});
    EXPECT_FALSE(r.complete());
    ASSERT_EQ(r.stuck.size(), 2U);
    EXPECT_EQ(r.stuck[0].action, (Action{Kind::backward, 0, 0}));
    EXPECT_EQ(r.deadlock(), "stage 0 waits to run the backward of micro-step 0, chunk 0; "
                            "stage 1 waits to run the forward of micro-step 1, chunk 0");
}

TEST(PipelineSimulation, ALostActionIsADeadlockToo) {
    auto lists = make_schedule(ScheduleKind::zero_bubble, 3, 1, 4);
    std::erase(lists[2], Action{Kind::input_gradient, 3, 0});
    EXPECT_EQ(simulate(lists, {{}, {}, {}}).stuck.size(), 3U);
}

TEST(PipelineSimulation, APartThatDoesNotExistIsRefused) {
    EXPECT_THROW(simulate({{{Kind::forward, 0, 1}}}, {{}}), std::out_of_range);
}

} // namespace
} // namespace trireme::parallel
