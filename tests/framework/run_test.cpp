// Tests what a run knows of itself without tensors: guards, history, outside orders, stragglers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/fake_communicator.hpp"
#include "cluster/file.hpp"
#include "cluster/thread_communicator.hpp"
#include "framework/run/control.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/lock.hpp"
#include "framework/run/pace.hpp"
#include "framework/run/step_guard.hpp"
#include "framework/run/stragglers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using namespace std::chrono_literals;

TEST(StepGuard, NotFiniteIsTreatedAsTheConfigurationSays) {
    run::Progress progress;
    run::GuardSection guard;
    EXPECT_EQ(run::judge_step(guard, progress, 0.5, 1.0).verdict, run::Decision::good);
    EXPECT_EQ(run::judge_step(guard, progress, NAN, 1.0).verdict, run::Decision::stop);
    EXPECT_EQ(run::judge_step(guard, progress, 0.5, INFINITY).verdict, run::Decision::stop);
    guard.non_finite = run::NonFinite::skip;
    EXPECT_EQ(run::judge_step(guard, progress, NAN, 1.0).verdict, run::Decision::leave_out);
    guard.non_finite = run::NonFinite::rollback;
    run::Judgement const finding =
        run::judge_step(guard, progress, 1.0 / 3.0, std::copysign(NAN, -1.0));
    EXPECT_EQ(finding.verdict, run::Decision::rollback);
    EXPECT_EQ(finding.what, "loss 0.3333 and gradient norm nan are not finite");
}

TEST(StepGuard, TooManyStepsLeftOutStopTheRun) {
    run::Progress progress;
    run::GuardSection const guard{.non_finite = run::NonFinite::skip, .most_skips = 2};
    for (std::int64_t i = 0; i < 2; ++i) {
        EXPECT_EQ(run::judge_step(guard, progress, NAN, 1).verdict, run::Decision::leave_out);
        progress.left_out.push_back(i);
    }
    EXPECT_EQ(run::judge_step(guard, progress, NAN, 1).verdict, run::Decision::stop);
}

TEST(StepGuard, ASpikeIsMeasuredByTheMedianOnceItIsKnown) {
    run::Progress progress;
    run::GuardSection const guard{.non_finite = run::NonFinite::skip, .spike = 3};
    for (int i = 0; i < 19; ++i) {
        EXPECT_EQ(run::judge_step(guard, progress, 100, 1).verdict, run::Decision::good)
            << "too early to tell";
        run::note_good_step(progress, 1 + 0.01 * i);
    }
    run::note_good_step(progress, 1.2);
    EXPECT_EQ(run::judge_step(guard, progress, 3.2, 1).verdict, run::Decision::good);
    EXPECT_EQ(run::judge_step(guard, progress, 3.4, 1).verdict, run::Decision::leave_out);
    for (int i = 0; i < 60; ++i) run::note_good_step(progress, 10);
    EXPECT_EQ(progress.recent_losses.size(), run::Progress::kRecentLosses);
    EXPECT_EQ(run::judge_step(guard, progress, 29, 1).verdict, run::Decision::good);
}

TEST(Progress, KeepsEverythingThroughACheckpoint) {
    run::Progress p;
    p.step = 12;
    p.cursor = 84;
    p.best = 0.75;
    p.best_step = 8;
    p.evaluated_step = 12;
    p.evaluations_without_improvement = 2;
    p.finished = true;
    p.left_out = {7, 70, 98};
    p.recent_losses = {1.5, 0.25};
    p.gap = {.lowest_step = 8,
             .lowest = 0.75,
             .last = 1.0 / 3,
             .rises = 2,
             .losses = {0.5, 1.0 / 7},
             .until = {3, 4.5, 9.25},
             .since = {1, 2, 4},
             .overfits = true};
    p.general = {"abc", 2.5, 2.75};
    run::Progress const q = run::Progress::from_json(p.to_json());
    EXPECT_EQ(q.to_json(), p.to_json());
    EXPECT_EQ(q.gap.losses, p.gap.losses);
    EXPECT_TRUE(q.gap.overfits);
    EXPECT_EQ(q.general.forgotten(), 0.25);
    nlohmann::json earlier = p.to_json();
    for (auto const* key : {"gap", "general"}) earlier.erase(key);
    EXPECT_EQ(run::Progress::from_json(earlier).gap.lowest_step, -1);
    EXPECT_EQ(q.best, 0.75);
    EXPECT_EQ(q.best_step, 8);
    EXPECT_EQ(q.evaluations_without_improvement, 2);
    EXPECT_EQ(q.updates(), 10) << "98 is yet to come";
    EXPECT_TRUE(q.leaves_out(98));
    EXPECT_FALSE(q.leaves_out(84));
}

TEST(JobHistory, CountsHoursAndJobsThatGotStuck) {
    test::TemporaryFolder const folder;
    EXPECT_TRUE(run::read_job_history(folder.path()).jobs.empty());
    cluster::write_file(folder.path() + "/metrics.jsonl",
                        R"({"kind":"job","step":0,"nodes":2,"time":1000}
{"kind":"train","step":1,"time":1900}
{"kind":"evaluation","step":1,"seconds":40,"time":2800}
{"kind":"job","step":1,"nodes":4,"time":5000}
{"kind":"checkpoint","step":1,"seconds":12.5,"time":5900}
{"kind":"job","step":1,"nodes":1,"time":9000}
{"kind":"tra)");
    run::JobHistory const history = run::read_job_history(folder.path());
    ASSERT_EQ(history.jobs.size(), 3U);
    EXPECT_DOUBLE_EQ(history.node_hours(), 2 * 0.5 + 4 * 0.25);
    EXPECT_EQ(history.stuck_at(1), 2);
    EXPECT_EQ(history.stuck_at(0), 0);
    EXPECT_EQ(history.longest_save, 12.5);
    EXPECT_EQ(history.longest_evaluation, 40);
}

TEST(JobHistory, WhatCannotBeReadIsNotEmpty) {
    test::TemporaryFolder const folder;
    std::filesystem::create_directories(folder.path() + "/metrics.jsonl");
    EXPECT_THROW(static_cast<void>(run::read_job_history(folder.path())), cluster::InputError);
}

TEST(Jobs, AnEventOfAnotherShapeIsToldWithItsLine) {
    test::TemporaryFolder const folder;
    std::string const path = folder.path() + "/metrics.jsonl";
    for (auto const& [line, message] : std::vector<std::pair<std::string, std::string>>{
             {R"({"kind": "job", "time": "now", "nodes": 1, "step": 0})",
              "time: \"now\": legal: a number"},
             {R"({"kind": "job", "time": 1, "nodes": 0, "step": 0})",
              "nodes: 0: legal: a whole number from 1"},
             {R"({"kind": "job", "time": 1, "nodes": 1, "step": []})",
              "step: []: legal: a whole number"},
             {R"({"kind": "checkpoint", "time": 1, "seconds": {}})",
              "seconds: {}: legal: a number"},
             {R"({"kind": ["job"], "time": 1})", "legal: an event"},
             {"5", "5: legal: an event"}}) {
        cluster::write_file(path, "{\"kind\": \"of another version\"}\n" + line + "\n");
        try {
            static_cast<void>(run::read_job_history(folder.path()));
            ADD_FAILURE() << line << " was taken";
        } catch (cluster::InputError const& error) {
            EXPECT_TRUE(std::string(error.what()).starts_with(path + ":2: ")) << error.what();
            EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
        }
    }
}

TEST(Lock, AFolderThatIsReplacedIsNoticedAndLeftToItsNewJob) {
    test::TemporaryFolder const folder;
    std::string const run = folder.path() + "/run";
    auto world = cluster::make_fake_world(0, 1, {});
    auto first = std::make_unique<run::Lock>(run, *world);
    EXPECT_NO_THROW(first->check_held(*world));
    std::filesystem::remove_all(run);
    EXPECT_THROW(first->check_held(*world), cluster::JobError);
    run::Lock const second(run, *world);
    EXPECT_THROW(first->check_held(*world), cluster::JobError);
    first.reset();
    EXPECT_NO_THROW(second.check_held(*world)) << "the first one took it away";
}

TEST(Lock, NoFileIsOpenedThroughALink) {
    test::TemporaryFolder const folder;
    std::string const run = folder.path() + "/run", other = folder.path() + "/other";
    std::filesystem::create_directories(run);
    cluster::write_file(other, "theirs");
    auto world = cluster::make_fake_world(0, 1, {});
    std::filesystem::create_symlink(other, run + "/lock");
    EXPECT_THROW(run::Lock(run, *world), cluster::InputError);
    std::filesystem::create_symlink(other, run + "/config.yaml.partial");
    cluster::write_file(run + "/config.yaml", "ours");
    EXPECT_EQ(cluster::read_file(run + "/config.yaml"), "ours");
    EXPECT_FALSE(std::filesystem::is_symlink(run + "/config.yaml"));
    EXPECT_EQ(cluster::read_file(other), "theirs");
}

TEST(Lock, ASecondJobIsRefusedByName) {
    test::TemporaryFolder const folder;
    std::string const run = folder.path() + "/new/run";
    auto const world = cluster::make_fake_world(0, 1, {});
    {
        run::Lock const first(run, *world);
        try {
            run::Lock const second(run, *world);
            FAIL() << "two jobs in one folder";
        } catch (cluster::InputError const& error) {
            std::string const what = error.what();
            EXPECT_NE(what.find("another job is at work in it (process " +
                                std::to_string(getpid()) + " on "),
                      std::string::npos)
                << what;
        }
    }
    EXPECT_NO_THROW(run::Lock(run, *world));
}

TEST(Stragglers, TheSlowRankIsNamedWithItsPhaseAndWaitingIsNotWork) {
    std::array<run::RankTimes, 3> seen;
    cluster::run_as_threads(3, [&](cluster::Communicator& world) {
        run::PhaseClock clock;
        clock.enter(run::Phase::load);
        std::this_thread::sleep_for(10ms);
        clock.enter(run::Phase::compute);
        std::this_thread::sleep_for(world.rank() == 1 ? 300ms : 30ms);
        world.barrier("as long as the slowest");
        clock.leave();
        seen[static_cast<std::size_t>(world.rank())] = run::gather_times(world, clock.take());
    });
    for (auto const& times : seen) {
        EXPECT_EQ(times.slowest, 1);
        EXPECT_EQ(times.phase, run::Phase::compute);
        EXPECT_GE(times.ratio, run::kStraggles);
        EXPECT_LT(times.median_seconds[1], 0.2) << "the others waited, which is no work of theirs";
    }
}

TEST(Pace, IsThatOfTheLastStepsTakenTogether) {
    run::Pace pace;
    EXPECT_EQ(pace.tokens_per_second(), 0);
    pace.add({100, 20, 10}, 1);
    pace.add({500, 130, 10}, 4);
    EXPECT_DOUBLE_EQ(pace.tokens_per_second(), 120) << "not the mean of 100 and 125";
    EXPECT_DOUBLE_EQ(pace.trained_tokens_per_second(), 30);
    EXPECT_DOUBLE_EQ(pace.samples_per_second(), 4);
    EXPECT_DOUBLE_EQ(pace.tokens_per_sample(), 30);
    for (std::size_t i = 0; i < run::Pace::kSteps; ++i) pace.add({30, 3, 3}, 0.5);
    EXPECT_DOUBLE_EQ(pace.tokens_per_second(), 60) << "the first two are forgotten";
}

} // namespace
} // namespace trireme::framework
