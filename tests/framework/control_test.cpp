// Orders to a run from outside: files, signals, limits of time and budget.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/fake_communicator.hpp"
#include "cluster/file.hpp"
#include "framework/run/control.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/stop_signal.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using namespace std::chrono_literals;

class Control : public testing::Test {
  protected:
    run::Control control(run::JobLimits const& limits = {}, run::JobHistory const& history = {}) {
        return run::Control(rules_, limits, history, 0, *world_);
    }
    run::JobLimits ends_in(std::chrono::milliseconds time, int nodes = 1) const {
        return {.end = std::chrono::system_clock::now() + time, .nodes = nodes};
    }
    test::TemporaryFolder folder_;
    run::Rules rules_{.run = folder_.path()};
    std::unique_ptr<cluster::Communicator> world_ = cluster::make_fake_world(0, 1, {});
};

TEST_F(Control, NothingIsAskedOfARunLeftInPeace) {
    auto c = control();
    EXPECT_EQ(c.refusal(0), std::nullopt);
    EXPECT_EQ(c.warning(), "");
    run::Orders const orders = c.agree(false);
    EXPECT_EQ(orders.stop, run::StopReason::none);
    EXPECT_FALSE(orders.save);
}

TEST_F(Control, FilesInTheRunFolder) {
    auto c = control();
    cluster::write_file(rules_.run + "/SAVE", "");
    EXPECT_TRUE(c.agree(false).save);
    c.save_began();
    EXPECT_FALSE(std::filesystem::exists(rules_.run + "/SAVE"));
    EXPECT_FALSE(c.agree(false).save);
    cluster::write_file(rules_.run + "/STOP", "");
    run::Orders const orders = c.agree(false);
    EXPECT_EQ(orders.stop, run::StopReason::file);
    EXPECT_EQ(orders.exit_code(), cluster::kHalted);
    EXPECT_NE(control().refusal(0).value_or("").find("STOP is there; remove it"),
              std::string::npos);
}

TEST_F(Control, ASignalAsksForAnotherJob) {
    for (int const signal : {SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP}) {
        std::signal(signal, SIG_DFL); // nohup hands SIGHUP down ignored, and the run leaves it so
        run::StopSignal const handlers;
        auto c = control();
        std::raise(signal);
        run::Orders const orders = c.agree(false);
        EXPECT_EQ(orders.stop, run::StopReason::signal) << strsignal(signal);
        EXPECT_EQ(orders.exit_code(), cluster::kSavedToContinue);
    }
}

TEST_F(Control, StopsAtTheLastMomentThatLeavesTimeForAStepAndASave) {
    auto c = control(ends_in(60s));
    c.step_took(5);
    c.save_took(20);
    EXPECT_EQ(c.agree(false).stop, run::StopReason::none) << "2 (5 + 20) < 60";
    c.evaluation_took(12);
    EXPECT_EQ(c.agree(false).stop, run::StopReason::none);
    EXPECT_EQ(c.agree(true).stop, run::StopReason::end_of_job) << "an evaluation comes first";
    c.step_took(11);
    EXPECT_EQ(c.agree(false).stop, run::StopReason::end_of_job) << "2 (11 + 20) > 60";
}

TEST_F(Control, ASlowFirstStepIsForgotten) {
    auto c = control(ends_in(60s));
    c.step_took(29);
    for (int i = 0; i < 100; ++i) c.step_took(1);
    c.save_took(20);
    EXPECT_EQ(c.agree(false).stop, run::StopReason::none);
}

TEST_F(Control, TheShorterOfConfigurationAndBatchSystemCounts) {
    rules_.job.minutes = 0.5;
    auto c = control(ends_in(3600s));
    c.save_took(20);
    EXPECT_EQ(c.agree(false).stop, run::StopReason::end_of_job);
}

TEST_F(Control, WarnsOfALimitTooShortForASave) {
    EXPECT_EQ(control(ends_in(60s), {.longest_save = 29}).warning(), "");
    std::string const warning = control(ends_in(60s), {.longest_save = 31}).warning();
    EXPECT_NE(warning.find("a save is expected to take 31 s: too short"), std::string::npos)
        << warning;
}

TEST_F(Control, TheBudgetCountsEarlierJobsAndAllNodes) {
    rules_.job.node_hours = 2;
    run::JobHistory history{.jobs = {{0, 3600, 1, 0}}};
    auto c = control(ends_in(3600s, 2), history);
    EXPECT_EQ(c.refusal(7), std::nullopt);
    EXPECT_EQ(c.agree(false).stop, run::StopReason::none);
    c.save_took(900.5); // 2 nodes x 2 x 900.5 s > 1 h
    EXPECT_EQ(c.agree(false).stop, run::StopReason::budget);
    EXPECT_EQ(c.agree(false).exit_code(), cluster::kHalted);
    history.jobs.push_back({4000, 7600, 1, 5});
    EXPECT_NE(control({}, history).refusal(7).value_or("").find("job.node_hours: 2"),
              std::string::npos);
}

TEST_F(Control, JobsWithoutProgressEndTheChain) {
    run::JobHistory history{.jobs = {{0, 1, 1, 0}, {2, 3, 1, 8}, {4, 5, 1, 8}}};
    EXPECT_EQ(control({}, history).refusal(8), std::nullopt);
    history.jobs.push_back({6, 7, 1, 8});
    EXPECT_NE(
        control({}, history).refusal(8).value_or("").find("the last 3 jobs all started at step 8"),
        std::string::npos);
    EXPECT_EQ(control({}, history).refusal(12), std::nullopt) << "the last of them got further";
    rules_.job.attempts = 4;
    EXPECT_EQ(control({}, history).refusal(8), std::nullopt);
}

TEST_F(Control, MinutesBetweenSaves) {
    rules_.checkpoint.minutes = 0.01;
    auto c = control();
    std::this_thread::sleep_for(650ms);
    EXPECT_TRUE(c.agree(false).save);
    c.save_began();
    EXPECT_FALSE(c.agree(false).save);
}

} // namespace
} // namespace trireme::framework
