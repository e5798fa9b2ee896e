// Where the time of a step goes: delays that were planted are found in their phase, on their rank,
// on their axis, and the parts are the whole.
#include "framework/run/step_clock.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <thread>

#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/run/account.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

double own(run::StepTimes const& times, run::StepPhase phase) {
    return times.own[static_cast<std::size_t>(phase)];
}
double exposed(run::StepTimes const& times, run::StepAxis axis) {
    return times.exposed[static_cast<std::size_t>(axis)];
}
double sum_of_parts(run::StepTimes const& times) {
    return std::accumulate(times.own.begin(), times.own.end(), 0.0) +
           std::accumulate(times.exposed.begin(), times.exposed.end(), 0.0);
}

/// Waits in a group of that name for rank 1, which is late.
void meet_late(cluster::Communicator& world, char const* group) {
    auto const members = world.split(0, world.rank(), group);
    if (world.rank() == 1) std::this_thread::sleep_for(100ms);
    members->barrier("late");
}

struct Found {
    run::StepTimes own;
    run::JobStepTimes job;
    double wall = 0;
};

/// Two steps on two ranks, in each of which rank 1 is late in a backward pass.
std::array<Found, 2> steps_with_a_late_rank(char const* group) {
    std::array<Found, 2> found;
    cluster::run_as_threads(2, [&](cluster::Communicator& world) {
        Found& mine = found[static_cast<std::size_t>(world.rank())];
        run::StepClock clock;
        for (int step = 0; step < 2; ++step) {
            auto const start = Steady::now();
            clock.begin();
            parallel::enter_place({"forward", 0, 0, 0});
            parallel::enter_place({"backward", 0, 0, 0});
            meet_late(world, group);
            parallel::tell_place({"update"});
            std::this_thread::sleep_for(20ms);
            clock.end();
            mine.wall += std::chrono::duration<double>(Steady::now() - start).count();
            std::this_thread::sleep_for(30ms); // between steps
        }
        mine.own = clock.take();
        mine.job = run::gather_step_times(world, mine.own);
    });
    return found;
}

/// A busy machine may hold a thread for longer than any bound here: a clock that is wrong is wrong
/// in each of five attempts. Returns what was wrong in the last, "" where one was right.
std::string wrong_each_time(std::function<std::string()> const& attempt) {
    std::string wrong;
    for (int i = 0; i < 5; ++i)
        if ((wrong = attempt()).empty()) break;
    return wrong;
}

/// Says where the delays of steps_with_a_late_rank were found wrongly.
std::string misplaced(std::array<Found, 2> const& found, run::StepAxis axis) {
    auto const& [waits, late] = found;
    std::string wrong;
    auto const check = [&](char const* what, double seconds, double least, double most) {
        if (seconds < least || seconds > most) wrong += fmt::format("{}: {} s; ", what, seconds);
    };
    check("twice 100 ms", exposed(waits.own, axis), 0.19, 0.3);
    check("waiting is no work", own(waits.own, run::StepPhase::backward), 0, 0.05);
    check("backward of the late rank", own(late.own, run::StepPhase::backward), 0.2, 0.3);
    check("wait of the late rank", exposed(late.own, axis), 0, 0.05);
    for (auto const& rank : {waits.own, late.own}) {
        EXPECT_EQ(rank.steps, 2);
        check("update", own(rank, run::StepPhase::update), 0.04, 0.1);
        check("forward", own(rank, run::StepPhase::forward), 0, 0.02);
    }
    return wrong;
}

TEST(StepClock, ALateRankIsFoundInItsPhaseAndByTheOthersOnItsAxis) {
    std::pair<char const*, run::StepAxis> const groups[]{
        {"tensor", run::StepAxis::tensor},
        {"tensor sharers of 2", run::StepAxis::tensor},
        {"shard", run::StepAxis::shard},
        {"shard gradients", run::StepAxis::shard},
        {"activation gradients 1", run::StepAxis::pipeline},
        {"activations", run::StepAxis::pipeline},
        {"pipeline", run::StepAxis::pipeline},
        {"data", run::StepAxis::data},
        {"replicate", run::StepAxis::data},
        {"other", run::StepAxis::world}};
    for (auto const& [group, axis] : groups)
        EXPECT_EQ(wrong_each_time([&] { return misplaced(steps_with_a_late_rank(group), axis); }),
                  "")
            << group;
}

TEST(StepClock, PartsAreTheWholeAndTheWholeIsTheWallTime) {
    EXPECT_EQ(wrong_each_time([] {
                  std::string wrong;
                  for (auto const& rank : steps_with_a_late_rank("tensor")) {
                      EXPECT_NEAR(sum_of_parts(rank.own), rank.own.seconds, 1e-6);
                      EXPECT_NEAR(sum_of_parts(rank.job.mean), rank.job.mean.seconds, 1e-6);
                      if (std::abs(rank.own.seconds - rank.wall) >
                          2e-3) // by another pair of clocks
                          wrong += fmt::format("{} s, wall {} s; ", rank.own.seconds, rank.wall);
                  }
                  return wrong;
              }),
              "");
}

TEST(StepClock, ManyRanksAreAMeanStepAndTheMostOfEachPart) {
    auto const ranks = steps_with_a_late_rank("shard");
    for (auto const& rank : ranks) {
        auto const shard = [](run::StepTimes const& t) { return exposed(t, run::StepAxis::shard); };
        double const waited = shard(ranks[0].own) / 2, late = shard(ranks[1].own) / 2;
        EXPECT_DOUBLE_EQ(shard(rank.job.most), std::max(waited, late)) << "of one step";
        EXPECT_DOUBLE_EQ(shard(rank.job.mean), (waited + late) / 2);
    }
}

TEST(StepClock, LooksAtNothingOutsideOfSteps) {
    run::StepClock clock;
    clock.begin();
    clock.end();
    parallel::enter_place({"forward", 0, 0, 0}); // an evaluation
    std::this_thread::sleep_for(30ms);
    parallel::enter_place({});
    auto const times = clock.take();
    EXPECT_EQ(times.steps, 1);
    EXPECT_LT(own(times, run::StepPhase::forward), 0.02);
    EXPECT_EQ(clock.take().steps, 0) << "was taken";
}

TEST(Account, CountsWhatTheRunStandsOnAndNothingTwice) {
    test::TemporaryFolder const folder;
    // By hand: steps 1 to 3 of 100 s; step 3 again in the second job, 50 s; step 4 was rolled back
    // with step 3, and the third job goes on from step 2.
    cluster::write_file(folder.path() + "/metrics.jsonl",
                        R"({"kind":"job","step":0,"nodes":2,"time":1000}
{"kind":"train","step":1,"seconds":100,"time":1100}
{"kind":"train","step":2,"seconds":100,"time":1200}
{"kind":"train","step":3,"seconds":100,"time":1300}
{"kind":"job","step":2,"nodes":2,"time":2000}
{"kind":"train","step":3,"seconds":50,"time":2050}
{"kind":"train","step":4,"seconds":50,"time":2100}
{"kind":"rollback","step":2,"from":4,"time":2700}
)");
    auto const history = run::read_job_history(folder.path());
    EXPECT_DOUBLE_EQ(history.kept.seconds(), 200);
    EXPECT_DOUBLE_EQ(history.seconds(), 300 + 700);
    run::Account account(history, 4, 2);
    account.step(3, 800);
    EXPECT_NEAR(account.goodput(), 1.0, 1e-3) << "200 and 800 of 1,000 s and what this job took";
    account.step(4, 40);
    account.back_to(2);
    account.step(3, 300);
    EXPECT_NEAR(account.goodput(), 0.5, 1e-3);
    EXPECT_NEAR(account.node_hours(), 2 * 1000.0 / 3600, 1e-3);
    account = run::Account(history, 4, 1);
    EXPECT_NEAR(account.goodput(), 0.1, 1e-3) << "the checkpoint of step 2 could not be read";
}

} // namespace
} // namespace trireme::framework
