// A rank that hangs, dies, fails or disagrees is named, all ranks end, and the run goes on as if
// nothing had been.
#include <gtest/gtest.h>

#include "tests/fault/fault_job.hpp"
#include "tests/support/fault_result.hpp"

namespace trireme::test {
namespace {

std::vector<std::string> const kQuick{"guard.deadline=2"};
/// Seconds from the fault to a report of a call past that deadline: on a machine with nothing else
/// to do some 3, and a busy one may take a few times as long.
constexpr double kSoon = 15;

/// Expects of every report that the fault fired, that one line names `words` in time, and that all
/// ranks are gone.
void expect_report(FaultyJob const& job, std::vector<std::string> const& words, double within) {
    EXPECT_TRUE(job.fired()) << job.output();
    EXPECT_EQ(job.reports().size(), 1U) << job.output();
    EXPECT_NE(job.find(words), nullptr) << job.output();
    EXPECT_GT(job.exit_code, 0) << job.output();
    EXPECT_NE(job.exit_code, 85) << job.output();
    EXPECT_LT(job.detect_seconds(), within) << job.output();
    EXPECT_GE(job.detect_seconds(), 0) << job.output();
}

void note(char const* id, char const* fault, char const* outcome, FaultyJob const& job,
          FaultyRun::Recovery const& recovery) {
    record({id, fault, outcome, job.detect_seconds(), recovery.seconds, recovery.steps_lost});
}

TEST(Watch, StoppedRankIsNamed) {
    FaultyRun run(kQuick);
    auto const job = run.job(3, "step/update:1:6:stop");
    expect_report(job,
                  {"no progress for 2 s", "rank 1@", "does not answer", "step/update of step 6",
                   "waited for it in"},
                  kSoon);
    run.expect_guilty(1, {"does not answer"});
    note("F13", "SIGSTOP to rank 1 of 3 in the update of a step",
         "named with its phase; all ranks ended", job, run.recover(2));
}

TEST(Watch, StoppedRankZeroIsNamedByAnother) {
    FaultyRun run(kQuick);
    auto const job = run.job(2, "step/middle of forward:0:5:stop");
    expect_report(job,
                  {"no progress for 2 s", "rank 0@", "does not answer",
                   "step/forward and backward of step 5"},
                  kSoon);
    note("F13", "SIGSTOP to rank 0 of 2 in a forward pass", "named by rank 1; all ranks ended", job,
         run.recover(2));
}

TEST(Watch, RankThatDoesNotComeIsFoundThroughAChainOfGroups) {
    FaultyRun run(kQuick);
    auto const job = run.job(4, "step/middle of forward:2:6:sleep=600", {"parallel.pipeline=2"});
    expect_report(
        job,
        {"no progress for 2 s", "rank 2@", "does not come", "step/forward and backward of step 6"},
        kSoon);
    note("F13", "rank 2 of 4 (2 stages, 2 replicas) sits in its forward pass",
         "named, though the others wait for each other", job, run.recover(2));
}

TEST(Watch, SkippedCallIsNamed) {
    // No save among the calls of the last steps: what comes after what is the same in each.
    FaultyRun run({"guard.deadline=2", "checkpoint.every=20"});
    auto const job = run.job(3, "call/all_reduce:1:5:skip");
    expect_report(job,
                  {"trireme: no progress for 2 s: rank 1@", "left its usual order of calls",
                   "wait for each other", "step/orders"},
                  kSoon);
    note("F14", "rank 1 of 3 leaves an all-reduce out", "named: it left its order of calls", job,
         run.recover(2));
}

TEST(Watch, CallOfAnotherTypeIsNamed) {
    FaultyRun run({"guard.deadline=2", "numerics.mode=fast", "parallel.zero=0"});
    auto const job = run.job(3, "call/all_reduce:2:5:retype");
    expect_report(job, {"rank 2@", "disagree on call", "i32", "f32"}, kSoon);
    record({"F14", "rank 2 of 3 reduces integers where others reduce floats",
            "named with both calls", job.detect_seconds()});
}

TEST(Watch, ExceptionOnOneRankEndsAll) {
    FaultyRun run(kQuick);
    auto const job = run.job(3, "step/update:2:6:raise");
    expect_report(job, {"trireme: rank 2@", "fault on purpose at step/update"}, kSoon);
    note("F21", "an exception on rank 2 of 3 before a collective",
         "one line names it; all ranks ended", job, run.recover(3));
}

TEST(Watch, SlowRankIsNotAccused) {
    FaultyRun run({"guard.deadline=8"});
    auto const job = run.job(
        3, "step/update:1:5:sleep=4,step/data:1:8:sleep=4,step/middle of forward:1:11:sleep=4");
    EXPECT_EQ(job.exit_code, 0) << job.output();
    EXPECT_NE(job.find({"fault fired: step/middle of forward on rank 1 at step 11"}), nullptr)
        << job.output();
    EXPECT_TRUE(job.reports().empty()) << job.output();
    record({"F15", "rank 1 of 3 takes 4 s longer in three steps (deadline 8 s)",
            "nobody accused, run ends well"});
}

} // namespace
} // namespace trireme::test
