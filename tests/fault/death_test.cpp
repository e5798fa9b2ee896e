// Ranks that die, are asked to stop, run out of memory or disagree about the time.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/fault/fault_job.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

/// Seconds from the fault to a report of what did not come within 2 or 3 s: a busy machine may take
/// a few times as long as one with nothing else to do.
constexpr double kSoon = 15;

void expect_failed(FaultyJob const& job) {
    EXPECT_TRUE(job.fired()) << job.output();
    EXPECT_NE(job.exit_code, 0) << job.output();
    EXPECT_NE(job.exit_code, 85) << job.output();
}

/// Returns the seconds from the fault to the end of the job: who killed a rank is known only
/// afterwards.
double until_the_end(FaultyJob const& job) {
    auto const* const fault = job.find({"fault fired: "});
    return fault ? job.seconds - fault->at : -1;
}

std::vector<std::string> checkpoints(std::string const& run) {
    std::vector<std::string> names;
    for (auto const& entry : fs::directory_iterator(run + "/checkpoints"))
        names.push_back(entry.path().filename());
    return names;
}

TEST(Death, KilledRankIsNamedAfterwards) {
    FaultyRun run;
    auto const job = run.job(3, "step/update:1:6:kill");
    expect_failed(job);
    EXPECT_LT(until_the_end(job), 30) << job.output();
    run.expect_guilty(1, {"rank 1@", "died without a word", "step/update of step 6", "last call "});
    auto const rest = run.recover(2);
    record({"F1", "kill -9 of rank 1 of 3 in the update of a step",
            "all ranks ended; status names it and its phase", until_the_end(job), rest.seconds,
            rest.steps_lost});
}

TEST(Death, AllRanksKilledAtOnce) {
    FaultyRun run;
    auto const job = run.job(2, "step/middle of forward:*:9:kill");
    expect_failed(job);
    EXPECT_EQ(run.status()["state"], "ended without a word");
    auto const rest = run.recover(3);
    record({"F2", "kill -9 of both ranks in a forward pass",
            "the newest whole checkpoint is taken up", until_the_end(job), rest.seconds,
            rest.steps_lost});
}

TEST(Death, ASignalToOneRankStopsAllAtOneStep) {
    FaultyRun run;
    auto const job = run.job(3, "step/data:2:6:terminate");
    EXPECT_TRUE(job.fired()) << job.output();
    EXPECT_EQ(job.exit_code, 85) << job.output();
    EXPECT_TRUE(fs::exists(run.run() + "/checkpoints/step-000000007")) << job.output();
    EXPECT_EQ(run.status()["state"], "to be continued");
    auto const rest = run.recover(2);
    EXPECT_EQ(rest.steps_lost, 0);
    record({"F5", "SIGTERM to rank 2 of 3 alone", "all save at the same step, exit code 85", -1,
            rest.seconds, rest.steps_lost});
}

TEST(Death, ASecondSignalDuringTheSaveChangesNothing) {
    FaultyRun run;
    auto const job = run.job(2, "step/data:0:6:terminate,checkpoint:*:*:terminate");
    EXPECT_TRUE(job.fired()) << job.output();
    EXPECT_EQ(job.exit_code, 85) << job.output();
    EXPECT_NE(job.find({"fault fired: checkpoint on rank 1"}), nullptr) << job.output();
    for (auto const& name : checkpoints(run.run()))
        EXPECT_EQ(name.find(".partial"), std::string::npos) << name;
    auto const rest = run.recover(2);
    record({"F4", "SIGTERM again on both ranks while they save",
            "one whole checkpoint, exit code 85", -1, rest.seconds, rest.steps_lost});
}

TEST(Death, RankThatNeverComesToMpiIsNotWaitedForForEver) {
    FaultyRun run;
    setenv("TRIREME_START_DEADLINE", "3", 1);
    auto const job = run.job(2, "start:1:*:stop");
    unsetenv("TRIREME_START_DEADLINE");
    expect_failed(job);
    EXPECT_NE(job.find({"trireme: rank 0@", "MPI_Init has not ended for 3 s"}), nullptr)
        << job.output();
    EXPECT_LT(job.detect_seconds(), kSoon);
    EXPECT_FALSE(fs::exists(run.run()));
    auto const rest = run.recover(2);
    record({"F13", "SIGSTOP to rank 1 of 2 before MPI_Init",
            "the other says where it waits; all ranks ended", job.detect_seconds(), rest.seconds,
            rest.steps_lost});
}

TEST(Death, HangInTheTeardownIsNamed) {
    FaultyRun run({"guard.deadline=2"});
    auto const job = run.job(2, "mpi/finalize:1:*:stop");
    expect_failed(job);
    ASSERT_EQ(job.reports().size(), 1U) << job.output();
    EXPECT_NE(job.find({"MPI_Finalize has not ended for 2 s", "rank 1@", "mpi/finalize"}), nullptr)
        << job.output();
    EXPECT_LT(job.detect_seconds(), kSoon);
    auto const rest = run.recover(2);
    record({"F22", "SIGSTOP to rank 1 of 2 in MPI_Finalize",
            "named; all ranks ended; the run was saved", job.detect_seconds(), rest.seconds,
            rest.steps_lost});
}

TEST(Death, OutOfMemoryOnOneRankEndsAll) {
    FaultyRun run({"guard.deadline=5"});
    auto const job = run.job(2, "call/all_reduce:1:6:exhaust");
    expect_failed(job);
    EXPECT_EQ(job.reports().size(), 1U) << job.output();
    EXPECT_NE(job.find({"trireme: rank 1@", "out of memory"}), nullptr) << job.output();
    auto const found = run.status();
    EXPECT_EQ(found["guilty"], nlohmann::json::array({1})) << found.dump(1) << job.output();
    auto const rest = run.recover(2);
    record({"F20", "no more memory for rank 1 of 2", "named; all ranks ended", until_the_end(job),
            rest.seconds, rest.steps_lost});
}

TEST(Death, ClocksAndHostNamesOfRanksDoNotMatter) {
    FaultyRun run;
    setenv("TRIREME_TEST_CLOCK_OF_RANK_1", "259200", 1); // three days ahead
    setenv("LD_PRELOAD", WRONG_CLOCK, 1);
    auto const job = run.job(2, "");
    unsetenv("LD_PRELOAD");
    unsetenv("TRIREME_TEST_CLOCK_OF_RANK_1");
    EXPECT_EQ(job.exit_code, 0) << job.output();
    EXPECT_NE(job.find({"clock of rank 1 is wrong on purpose"}), nullptr) << job.output();
    EXPECT_TRUE(job.reports().empty()) << job.output();
    EXPECT_EQ(final_hash(run.run()), unbroken_hash());
    EXPECT_EQ(checkpoints(run.run()), checkpoints(run.run()));
    for (auto const& name : checkpoints(run.run())) {
        EXPECT_TRUE(fs::exists(run.run() + "/checkpoints/" + name + "/rank-00001.h5")) << name;
        EXPECT_TRUE(fs::exists(run.run() + "/checkpoints/" + name + "/manifest.json")) << name;
    }
    EXPECT_EQ(run.status()["jobs"].size(), 1U);
    record({"F23", "the clock of rank 1 is three days ahead, both ranks have one host name",
            "one set of folders, named by rank 0; equal hash"});
}

} // namespace
} // namespace trireme::test
