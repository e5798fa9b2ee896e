// Faults in values, and orders from outside, against the real command: what is found, what is done,
// what is left.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cluster/file.hpp"
#include "tests/fault/fault_job.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// TRIREME_FAULT while it lives.
class FaultIs {
  public:
    explicit FaultIs(std::string const& fault) { setenv("TRIREME_FAULT", fault.c_str(), 1); }
    ~FaultIs() { unsetenv("TRIREME_FAULT"); }
    FaultIs(FaultIs const&) = delete;
    FaultIs& operator=(FaultIs const&) = delete;
};

class Guards : public testing::Test {
  protected:
    Guards() { write_tiny_run(folder_.path()); }
    std::string run() const { return folder_.path() + "/run"; }
    Outcome train(int ranks, std::vector<std::string> const& set, std::string const& fault = "") {
        FaultIs const fault_is(fault);
        std::vector<std::string> arguments{"train", folder_.path() + "/run.yaml"};
        for (auto const& assignment : set) arguments.insert(arguments.end(), {"--set", assignment});
        Outcome outcome = run_command(trireme(ranks, arguments));
        if (!fault.empty()) {
            EXPECT_NE(outcome.output.find("fault fired: "), std::string::npos)
                << "no fault, no test\n"
                << outcome.output;
        }
        return outcome;
    }
    /// The last line may be in the middle of being written.
    std::vector<json> events(std::string const& kind) const {
        std::vector<json> found;
        for (auto const& line : metric_lines(run()))
            if (json event = json::parse(line, nullptr, false);
                !event.is_discarded() && event.at("kind") == kind)
                found.push_back(std::move(event));
        return found;
    }
    double between(json const& from, json const& to) const {
        return to.at("time").get<double>() - from.at("time").get<double>();
    }

    TemporaryFolder folder_;
};

TEST_F(Guards, F17_NotFiniteStopsEveryRankBeforeTheUpdateAndResumes) {
    Outcome const bad = train(2, {"train.steps=12"}, "step/gradient:1:9:nan");
    EXPECT_EQ(bad.exit_code, 1) << bad.output;
    EXPECT_NE(bad.output.find("step 9: loss "), std::string::npos) << bad.output;
    EXPECT_NE(bad.output.find("gradient norm nan are not finite; no update was made"),
              std::string::npos)
        << bad.output;
    EXPECT_NE(bad.output.find("; run again with guard.non_finite: skip or rollback"),
              std::string::npos)
        << bad.output;
    ASSERT_EQ(events("bad step").size(), 1U);
    EXPECT_EQ(events("bad step")[0].at("samples").size(), 7U)
        << "the whole step: no loss says which";
    EXPECT_EQ(train(2, {"train.steps=12"}).exit_code, 0);
    std::string const hash = final_hash(run());
    fs::remove_all(run());
    EXPECT_EQ(train(1, {"train.steps=12"}).exit_code, 0);
    EXPECT_EQ(final_hash(run()), hash);
    record({"F17", "NaN in one rank's gradient, policy stop",
            "every rank stopped before the update; resumed to equal weights", 0, -1, 1});
}

TEST_F(Guards, F17_SkippedTheSameWayInEveryLayout) {
    std::string expected;
    for (int const ranks : {1, 3}) {
        fs::remove_all(run());
        Outcome const bad =
            train(ranks, {"train.steps=10", "guard.non_finite=skip"}, "step/gradient:0:5:nan");
        ASSERT_EQ(bad.exit_code, 0) << bad.output;
        EXPECT_EQ(events("bad step").size(), 1U);
        EXPECT_EQ(events("train").size(), 9U);
        if (expected.empty()) expected = final_hash(run());
        EXPECT_EQ(final_hash(run()), expected);
    }
    // A run that leaves the step out because a checkpoint says so ends there too: Adam's count of
    // updates is right.
    record({"F17", "NaN in one rank's gradient, policy skip",
            "no update on any rank; same weights at 1 and 3 ranks", 0, 0, 1});
}

TEST_F(Guards, F17_RollbackLeavesTheSamplesOut) {
    Outcome const bad =
        train(2, {"train.steps=12", "guard.non_finite=rollback"}, "step/gradient:1:9:nan");
    ASSERT_EQ(bad.exit_code, 0) << bad.output;
    ASSERT_EQ(events("rollback").size(), 1U);
    EXPECT_EQ(events("rollback")[0].at("step"), 8);
    ASSERT_EQ(events("left out").size(), 1U);
    EXPECT_EQ(events("left out")[0].at("step"), 9);
    std::string const hash = final_hash(run());
    double const recover = between(events("bad step")[0], events("left out")[0]);
    fs::remove_all(run()); // the same run with the step left out at once
    ASSERT_EQ(
        train(1, {"train.steps=12", "guard.non_finite=skip"}, "step/gradient:0:9:nan").exit_code,
        0);
    EXPECT_EQ(final_hash(run()), hash);
    record({"F17", "NaN in one rank's gradient, policy rollback",
            "back to the last checkpoint, samples left out", 0, recover, 2});
}

TEST_F(Guards, RollbackWithoutACheckpointSaysSo) {
    Outcome const bad =
        train(2, {"train.steps=6", "checkpoint.every=0", "guard.non_finite=rollback"},
              "step/gradient:1:3:nan");
    EXPECT_EQ(bad.exit_code, 1);
    EXPECT_NE(bad.output.find("there is no checkpoint to go back to"), std::string::npos)
        << bad.output;
}

TEST_F(Guards, F18_AFlippedBitInAReplicaIsNamed) {
    Outcome const bad =
        train(3, {"train.steps=12", "guard.compare_replicas=1", "checkpoint.every=0"},
              "step/weights:1:6:flip=3");
    EXPECT_EQ(bad.exit_code, 1) << bad.output;
    EXPECT_NE(bad.output.find("after step 7: weights of model.embed_tokens.weight on rank 1@"),
              std::string::npos)
        << bad.output;
    EXPECT_NE(bad.output.find("differ from those of the 2 ranks that agree"), std::string::npos)
        << bad.output;
    record(
        {"F18", "one bit of one replica's weights flipped", "rank and parameter named", 0, -1, -1});
}

TEST_F(Guards, F18_NothingGoneBadIsSaved) {
    Outcome const bad =
        train(2, {"train.steps=12", "guard.compare_replicas=1000"}, "step/weights:1:5:flip=3");
    EXPECT_EQ(bad.exit_code, 1) << bad.output;
    EXPECT_NE(bad.output.find("no majority tells which is right: rank 0@"), std::string::npos)
        << bad.output;
    EXPECT_FALSE(fs::exists(run() + "/checkpoints/step-000000008"));
    EXPECT_EQ(train(2, {"train.steps=12"}).exit_code, 0);
    std::string const hash = final_hash(run());
    fs::remove_all(run());
    EXPECT_EQ(train(1, {"train.steps=12"}).exit_code, 0);
    EXPECT_EQ(final_hash(run()), hash);
}

TEST_F(Guards, F19_ASpikeIsLeftOut) {
    Outcome const bad = train(2, {"train.steps=30", "guard.spike=50", "guard.non_finite=skip"},
                              "step/loss:1:25:nan");
    ASSERT_EQ(bad.exit_code, 0) << bad.output;
    ASSERT_EQ(events("bad step").size(), 1U);
    EXPECT_NE(events("bad step")[0].at("what").get<std::string>().find("times the median"),
              std::string::npos);
    EXPECT_EQ(events("train").size(), 29U);
    record({"F19", "loss of one rank 1000 times too high", "taken for a spike, left out", 0, 0, 1});
}

TEST_F(Guards, F24_ASecondJobOnTheFolderIsRefused) {
    // The first one stands still in step 3 until the second has been refused, however late it
    // comes.
    Outcome second;
    std::atomic<bool> over = false;
    std::thread other;
    auto const pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
    {
        FaultIs const stops("step/slow:0:3:stop");
        other = std::thread([&] {
            while (!over && events("train").size() < 3) pause();
            second = run_command(trireme(1, {"train", folder_.path() + "/run.yaml"}));
            for (; !over; pause())
                for (int const rank : rank_processes(folder_.path())) kill(rank, SIGCONT);
        });
        Outcome const first = run_command(
            trireme(1, {"train", folder_.path() + "/run.yaml", "--set", "train.steps=8"}));
        over = true;
        EXPECT_EQ(first.exit_code, 0) << first.output;
        EXPECT_NE(first.output.find("fault fired: step/slow"), std::string::npos);
        other.join();
    }
    EXPECT_EQ(second.exit_code, 2) << second.output;
    EXPECT_NE(second.output.find("another job is at work in it (process "), std::string::npos)
        << second.output;
    record(
        {"F24", "two jobs on one run folder", "the second is refused, the first named", 0, -1, 0});
}

TEST_F(Guards, F27_NoProgressEndsTheLoop) {
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(train(1, {"train.steps=12"}, "step/gradient:0:9:nan").exit_code, 1);
    // The first of them got to step 8, from where the three others started.
    Outcome const refused = train(1, {"train.steps=12"});
    EXPECT_EQ(refused.exit_code, 3) << refused.output;
    EXPECT_NE(refused.output.find("no progress: the last 3 jobs all started at step 8"),
              std::string::npos)
        << refused.output;
    EXPECT_EQ(train(1, {"train.steps=12", "job.attempts=4"}).exit_code, 0);
    record({"F27", "every job fails at the same step",
            "the fourth from there is refused with code 3", -1, -1, -1});
}

TEST_F(Guards, F28_TimeTooShortIsSaidAndTheRunStopsInTime) {
    for (int step = 1; step <= 2; ++step) {
        Outcome const job = train(2, {"train.steps=12", "job.minutes=1e-6"});
        EXPECT_EQ(job.exit_code, 85) << job.output;
        EXPECT_NE(job.output.find("too short to stop in good order"), std::string::npos)
            << job.output;
        EXPECT_NE(job.output.find(fmt::format("the job's time is over: saved at step {};", step)),
                  std::string::npos)
            << job.output;
    }
    EXPECT_EQ(train(2, {"train.steps=12"}).exit_code, 0);
    record({"F28", "time limit shorter than a save",
            "warned at the start; saved after one step, code 85", 0, -1, 0});
}

TEST_F(Guards, F29_AnotherConfigurationOrOtherDataAreRefused) {
    EXPECT_EQ(train(1, {"train.steps=6", "job.minutes=1e-6"}).exit_code, 85);
    Outcome const changed = train(1, {"train.steps=6", "optimizer.learning_rate=1e-4"});
    EXPECT_EQ(changed.exit_code, 2) << changed.output;
    EXPECT_NE(changed.output.find("optimizer.learning_rate: 0.003 -> 0.0001"), std::string::npos)
        << changed.output;
    {
        std::fstream shard(folder_.path() + "/data/train-00001.h5",
                           std::ios::in | std::ios::out | std::ios::binary);
        shard.seekp(-5, std::ios::end);
        shard.put('x');
    }
    Outcome const damaged = train(1, {"train.steps=6"});
    EXPECT_EQ(damaged.exit_code, 2) << damaged.output;
    EXPECT_NE(damaged.output.find("data/train-00001.h5"), std::string::npos) << damaged.output;
    record({"F29", "configuration or data changed between jobs",
            "refused, with the difference or the file", 0, -1, 0});
}

TEST_F(Guards, AFileStopsTheRunAndEveryLaterJob) {
    fs::create_directories(run());
    Outcome const before = [&] {
        cluster::write_file(run() + "/STOP", "");
        return train(2, {"train.steps=12"});
    }();
    EXPECT_EQ(before.exit_code, 3) << before.output;
    EXPECT_NE(before.output.find("STOP is there; remove it"), std::string::npos) << before.output;
    fs::remove(run() + "/STOP");
    EXPECT_EQ(train(2, {"train.steps=12"}).exit_code, 0);
}

TEST_F(Guards, ASpentBudgetEndsTheRunAndTheChain) {
    Outcome const first = train(1, {"train.steps=40", "job.node_hours=1e-9"});
    EXPECT_EQ(first.exit_code, 3) << first.output;
    EXPECT_NE(first.output.find("job.node_hours: 1e-09"), std::string::npos) << first.output;
    EXPECT_TRUE(events("train").empty());
}

} // namespace
} // namespace trireme::test
