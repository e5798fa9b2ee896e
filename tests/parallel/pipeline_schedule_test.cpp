#include "parallel/pipeline_schedule.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "cluster/error.hpp"
#include "parallel/pipeline_simulation.hpp"

namespace trireme::parallel {
namespace {

using Kind = Action::Kind;
constexpr ScheduleKind kAll[]{ScheduleKind::gpipe, ScheduleKind::one_f_one_b,
                              ScheduleKind::interleaved, ScheduleKind::zero_bubble};

struct Case {
    ScheduleKind kind;
    int stages, chunks;
    std::int64_t micro_steps;

    std::vector<StageActions> lists() const {
        return make_schedule(kind, stages, chunks, micro_steps);
    }
    int parts() const { return stages * chunks; }
};

/// Every legal schedule of 1 to 8 stages, 1 to 4 chunks and 1 to 17 micro-steps.
void for_each_case(std::function<void(Case const&)> const& body) {
    for (ScheduleKind kind : kAll)
        for (int stages = 1; stages <= 8; ++stages)
            for (int chunks = 1; chunks <= 4; ++chunks)
                for (std::int64_t m = 1; m <= 17; ++m) {
                    if ((kind == ScheduleKind::interleaved) != (chunks > 1)) continue;
                    SCOPED_TRACE(testing::Message()
                                 << name_of(kind) << ", " << stages << " stages, " << chunks
                                 << " chunks, " << m << " micro-steps");
                    body({kind, stages, chunks, m});
                }
}

/// Input gradients and whole backward passes both give the part before its gradient.
bool sends_gradient(Kind kind) {
    return kind == Kind::backward || kind == Kind::input_gradient;
}

TEST(PipelineSchedule, EachActionIsThereOnce) {
    for_each_case([](Case const& c) {
        bool const apart = c.kind == ScheduleKind::zero_bubble;
        for (StageActions const& list : c.lists()) {
            std::set<std::tuple<Kind, std::int64_t, int>> seen;
            for (Action const& a : list) {
                ASSERT_TRUE(a.micro_step >= 0 && a.micro_step < c.micro_steps && a.chunk >= 0 &&
                            a.chunk < c.chunks);
                ASSERT_EQ(a.kind != Kind::forward,
                          apart ? a.kind >= Kind::input_gradient : a.kind == Kind::backward);
                ASSERT_TRUE(seen.insert({a.kind, a.micro_step, a.chunk}).second);
            }
            ASSERT_EQ(seen.size(),
                      static_cast<std::size_t>(c.micro_steps * c.chunks * (apart ? 3 : 2)));
        }
    });
}

TEST(PipelineSchedule, EachKindRunsInMicroStepOrderInEachChunk) {
    for_each_case([](Case const& c) {
        for (StageActions const& list : c.lists()) {
            std::map<std::pair<Kind, int>, std::int64_t> next;
            for (Action const& a : list) {
                std::int64_t& expected = next[{a.kind, a.chunk}];
                ASSERT_EQ(a.micro_step, expected++);
            }
        }
    });
}

/// End of the action of `kind` on `part`, by part and micro-step.
using Ends = std::map<std::tuple<bool, int, std::int64_t>, double>;

Ends ends_of(Case const& c, std::vector<StageActions> const& lists, Simulation const& run) {
    Ends ends;
    for (std::size_t s = 0; s < lists.size(); ++s)
        for (std::size_t i = 0; i < lists[s].size(); ++i) {
            auto const& [kind, m, chunk] = lists[s][i];
            if (kind != Kind::weight_gradient)
                ends[{kind == Kind::forward, chunk * c.stages + static_cast<int>(s), m}] =
                    run.spans[s][i].end;
        }
    return ends;
}

void expect_dependencies(Case const& c, std::vector<StageActions> const& lists,
                         Simulation const& run) {
    Ends const ends = ends_of(c, lists, run);
    for (std::size_t s = 0; s < lists.size(); ++s) {
        double free = 0;
        for (std::size_t i = 0; i < lists[s].size(); ++i) {
            auto const& [kind, m, chunk] = lists[s][i];
            int const part = chunk * c.stages + static_cast<int>(s);
            double const begin = run.spans[s][i].begin;
            ASSERT_GE(begin, free) << "a stage does two things at once";
            free = run.spans[s][i].end;
            ASSERT_GT(free, begin);
            auto const expect_after = [&](bool forward, int needed) {
                EXPECT_GE(begin, ends.at({forward, needed, m}))
                    << "part " << part << " before part " << needed;
            };
            if (kind == Kind::forward && part > 0) expect_after(true, part - 1);
            if (sends_gradient(kind)) expect_after(true, part);
            if (sends_gradient(kind) && part + 1 < c.parts()) expect_after(false, part + 1);
            if (kind == Kind::weight_gradient) expect_after(false, part);
        }
    }
}

TEST(PipelineSchedule, CompletesWithEveryDependencyKept) {
    for_each_case([](Case const& c) {
        auto const lists = c.lists();
        std::vector<PartTimes> uneven;
        for (int p = 0; p < c.parts(); ++p) uneven.push_back({1.0 + p % 3, 1.5, 0.5 + p % 2});
        Simulation const run = simulate(lists, uneven, 0.25);
        ASSERT_TRUE(run.complete()) << run.deadlock();
        expect_dependencies(c, lists, run);
    });
}

/// Micro-step and part of what one stage sends to or receives from another, by (from, to), in
/// order.
using Traffic = std::map<std::pair<int, int>, std::vector<std::pair<std::int64_t, int>>>;

void add_traffic(Case const& c, bool gradients, int stage, Action const& a, Traffic& sent,
                 Traffic& received) {
    int const part = a.chunk * c.stages + stage, step = gradients ? -1 : 1;
    auto const exists = [&](int p) { return p >= 0 && p < c.parts(); };
    int const to = (stage + step + c.stages) % c.stages,
              from = (stage - step + c.stages) % c.stages;
    if (exists(part + step)) sent[{stage, to}].emplace_back(a.micro_step, part + step);
    if (exists(part - step)) received[{from, stage}].emplace_back(a.micro_step, part);
}

TEST(PipelineSchedule, ReceiversTakeActivationsAndGradientsInTheOrderSent) {
    for_each_case([](Case const& c) {
        auto const lists = c.lists();
        for (bool gradients : {false, true}) {
            Traffic sent, received;
            for (int s = 0; s < c.stages; ++s)
                for (Action const& a : lists[static_cast<std::size_t>(s)])
                    if (gradients ? sends_gradient(a.kind) : a.kind == Kind::forward)
                        add_traffic(c, gradients, s, a, sent, received);
            ASSERT_EQ(sent, received);
        }
    });
}

std::int64_t most_in_flight(Case const& c, int stage) {
    std::int64_t const after = c.stages - stage - 1, all = c.micro_steps * c.chunks;
    switch (c.kind) {
    case ScheduleKind::gpipe: return all;
    case ScheduleKind::one_f_one_b: return std::min(all, after + 1);
    case ScheduleKind::zero_bubble: return std::min<std::int64_t>(all, c.stages);
    case ScheduleKind::interleaved: break;
    }
    return std::min(all, 2 * after + (c.chunks - 1) * c.stages + 1);
}

TEST(PipelineSchedule, HoldsAsManyActivationsAsThePapersSay) {
    for_each_case([](Case const& c) {
        Simulation const run =
            simulate(c.lists(), std::vector<PartTimes>(static_cast<std::size_t>(c.parts())));
        for (int s = 0; s < c.stages; ++s) {
            std::int64_t const peak = run.peak_in_flight[static_cast<std::size_t>(s)];
            ASSERT_LE(peak, most_in_flight(c, s)) << "stage " << s;
            bool const ragged = c.chunks > 1 && c.micro_steps % c.stages != 0;
            if (!ragged) {
                ASSERT_EQ(peak, most_in_flight(c, s)) << "stage " << s;
            }
        }
    });
}

TEST(PipelineSchedule, OneStageAloneIsTheListOfAll) {
    auto const lists = make_schedule(ScheduleKind::interleaved, 4, 3, 7);
    for (int s = 0; s < 4; ++s)
        EXPECT_EQ(stage_actions(ScheduleKind::interleaved, 4, 3, 7, s),
                  lists[static_cast<std::size_t>(s)]);
    EXPECT_THROW(stage_actions(ScheduleKind::gpipe, 4, 1, 7, 4), std::out_of_range);
}

TEST(PipelineSchedule, SixtyFourStagesAreBuiltAndSimulatedInWellUnderASecond) {
    auto const begin = std::clock(); // of the processor: others may use the machine
    for (ScheduleKind kind : kAll) {
        int const chunks = kind == ScheduleKind::interleaved ? 4 : 1;
        auto const lists = make_schedule(kind, 64, chunks, 256);
        ASSERT_TRUE(simulate(lists, std::vector<PartTimes>(static_cast<std::size_t>(64 * chunks)))
                        .complete());
    }
    double const seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    RecordProperty("seconds", std::to_string(seconds));
    EXPECT_LT(seconds, 1.0);
}

std::string refusal(std::function<void()> const& call) {
    try {
        call();
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(PipelineSchedule, RefusesWhatDoesNotFit) {
    EXPECT_EQ(refusal([] { make_schedule(ScheduleKind::interleaved, 4, 1, 8); }),
              "parallel.virtual_stages: 1: legal: 2 or more with schedule interleaved");
    EXPECT_EQ(refusal([] { make_schedule(ScheduleKind::zero_bubble, 4, 2, 8); }),
              "parallel.virtual_stages: 2: legal: 1 with schedule zero-bubble");
    EXPECT_EQ(refusal([] { make_schedule(ScheduleKind::gpipe, 0, 1, 8); }),
              "parallel.pipeline: 0: legal: 1 or more");
    EXPECT_EQ(refusal([] { make_schedule(ScheduleKind::gpipe, 1, 1, 0); }),
              "micro-steps: 0: legal: 1 or more");
}

} // namespace
} // namespace trireme::parallel
