// A run that is stopped, killed or damaged and continued ends with the weights of one that never
// was.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>
#include <thread>

#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Process ids of all ranks whose command line names the folder.
std::vector<pid_t> ranks_of(std::string const& folder) {
    std::vector<pid_t> found;
    for (auto const& entry : fs::directory_iterator("/proc")) {
        std::string const name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream file(entry.path() / "cmdline");
        std::string const line((std::istreambuf_iterator<char>(file)), {});
        bool const rank =
            line.find("/trireme") < line.find('\0') && line.find(folder) != std::string::npos;
        if (rank) found.push_back(std::stoi(name));
    }
    return found;
}

std::size_t steps_done(std::string const& run) {
    std::size_t steps = 0;
    for (auto const& line : metric_lines(run))
        steps += line.find("\"kind\":\"train\"") != std::string::npos;
    return steps;
}

bool has_checkpoint(std::string const& run) {
    std::error_code none;
    for (auto const& entry : fs::directory_iterator(run + "/checkpoints", none))
        if (entry.path().extension().empty()) return true;
    return false;
}

/// Slows down the last steps of a run, which no signal below is meant for: it must not be over
/// before a busy machine has sent one.
std::string slow_end() {
    std::string faults;
    for (int step = 30; step < 40; ++step)
        faults += (faults.empty() ? "step/slow:0:" : ",step/slow:0:") + std::to_string(step) +
                  ":sleep=0.5";
    return faults;
}

/// Starts a run, sends `signal` to all its ranks once `steps` steps of this job are logged and
/// there is a checkpoint (it is written while steps go on), and returns how it ended.
Outcome interrupt(std::string const& folder, int ranks, std::size_t steps, int signal) {
    std::size_t const before = steps_done(folder + "/run");
    auto command = trireme(ranks, {"train", folder + "/run.yaml"});
    command.insert(command.begin(), {"env", "TRIREME_FAULT=" + slow_end()});
    auto job = std::async(std::launch::async, [&] { return run_command(command); });
    auto const limit = std::chrono::steady_clock::now() + 200s;
    while ((steps_done(folder + "/run") < before + steps || !has_checkpoint(folder + "/run")) &&
           std::chrono::steady_clock::now() < limit)
        std::this_thread::sleep_for(1ms);
    auto const pids = ranks_of(folder);
    EXPECT_EQ(pids.size(), static_cast<std::size_t>(ranks))
        << "the run was over before the signal: the fault did not fire";
    for (pid_t const pid : pids) kill(pid, signal);
    return job.get();
}

class StopAndResume : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        TemporaryFolder const folder;
        write_tiny_run(folder.path());
        Outcome const whole = run_command(trireme(2, {"train", folder.path() + "/run.yaml"}));
        ASSERT_EQ(whole.exit_code, 0) << whole.output;
        expected_ = final_hash(folder.path() + "/run");
        ASSERT_EQ(expected_.size(), 64U);
    }
    void SetUp() override { write_tiny_run(folder_.path()); }

    void finish(int ranks) {
        Outcome const rest = run_command(trireme(ranks, {"train", folder_.path() + "/run.yaml"}));
        EXPECT_EQ(rest.exit_code, 0) << rest.output;
        EXPECT_NE(rest.output.find("resumed at step"), std::string::npos) << rest.output;
        EXPECT_EQ(final_hash(folder_.path() + "/run"), expected_);
    }

    static std::string expected_;
    TemporaryFolder folder_;
};
std::string StopAndResume::expected_;

TEST_F(StopAndResume, KilledAtARandomStepAndResumed) {
    std::mt19937 random(
        static_cast<unsigned>(std::chrono::steady_clock::now().time_since_epoch().count()));
    auto const steps = std::uniform_int_distribution<std::size_t>(5, 25)(random);
    RecordProperty("killed_after_step", static_cast<int>(steps));
    Outcome const killed = interrupt(folder_.path(), 2, steps, SIGKILL);
    EXPECT_NE(killed.exit_code, 0);
    EXPECT_NE(killed.exit_code, 85);
    finish(2);
}

/// Writing in the background writes the same as writing at once.
TEST_F(StopAndResume, SavingWhileTrainingGoesOnChangesNoBit) {
    Outcome const at_once = run_command(
        trireme(2, {"train", folder_.path() + "/run.yaml", "--set", "checkpoint.async=false"}));
    ASSERT_EQ(at_once.exit_code, 0) << at_once.output;
    EXPECT_EQ(final_hash(folder_.path() + "/run"), expected_);
}

/// Steps go on while the ranks' files of step 4 wait to be written: what is in them is of step 4
/// all the same, and the run ends as one that wrote at once.
TEST(SlowSave, HoldsTheWeightsOfItsStepAndDisturbsNothing) {
    struct Layout {
        int ranks;
        std::vector<std::string> set;
    };
    std::vector<std::string> const common{"train.steps=12", "checkpoint.keep_last=9",
                                          "evaluation.every=12"};
    for (auto const& [ranks, layout] :
         {Layout{1, {}}, Layout{2, {"parallel.zero=3"}},
          Layout{4, {"parallel.tensor=2", "parallel.zero=2"}},
          Layout{4, {"parallel.pipeline=2", "parallel.zero=1", "parallel.offload=optimizer"}}}) {
        TemporaryFolder const slow, at_once;
        auto const run = [&](std::string const& folder, std::vector<std::string> set,
                             char const* fault) {
            set.insert(set.end(), common.begin(), common.end());
            set.insert(set.end(), layout.begin(), layout.end());
            std::vector<std::string> arguments{"train", write_tiny_run(folder)};
            for (auto const& s : set) arguments.insert(arguments.end(), {"--set", s});
            auto command = trireme(ranks, arguments);
            command.insert(command.begin(), {"env", std::string("TRIREME_FAULT=") + fault});
            Outcome const outcome = run_command(command);
            EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
            return outcome.output;
        };
        std::string const told = run(slow.path(), {}, "save/file:*:*:sleep=1.5");
        EXPECT_NE(told.find("fault fired"), std::string::npos) << told;
        run(at_once.path(), {"checkpoint.async=false"}, "");
        bool saved = false, stepped = false;
        for (auto const& line : metric_lines(slow.path() + "/run")) {
            saved = saved || line.find("\"kind\":\"checkpoint\"") != std::string::npos;
            stepped = stepped ||
                      (!saved && line.find("\"kind\":\"train\",\"step\":7,") != std::string::npos);
        }
        EXPECT_TRUE(saved && stepped)
            << "the save of step 4 ended before step 7 was done: it was not slow";
        for (char const* step : {"step-000000004", "step-000000008", "step-000000012"}) {
            auto const place = [&](TemporaryFolder const& folder) {
                return folder.path() + "/run/checkpoints/" + step;
            };
            Outcome const diff =
                run_command(trireme(0, {"checkpoint", "diff", place(slow), place(at_once)}));
            EXPECT_NE(diff.output.find("tensors are equal bit by bit, 0 are not"),
                      std::string::npos)
                << ranks << " ranks, " << step << "\n"
                << diff.output;
        }
        EXPECT_EQ(final_hash(slow.path() + "/run"), final_hash(at_once.path() + "/run"))
            << ranks << " ranks";
    }
}

TEST_F(StopAndResume, ResumedAtAnotherRankCountInTheMiddleOfAnEpoch) {
    EXPECT_NE(interrupt(folder_.path(), 2, 6, SIGKILL).exit_code, 0);
    EXPECT_NE(interrupt(folder_.path(), 3, 6, SIGKILL).exit_code, 0);
    finish(1);
    record(
        {"F12", "killed on 2 ranks, gone on with on 3, killed again, ended on 1", "equal weights"});
}

TEST_F(StopAndResume, AskedToStopSavesAtOnceAndExitsWith85) {
    Outcome const stopped = interrupt(folder_.path(), 2, 9, SIGUSR1);
    EXPECT_EQ(stopped.exit_code, 85) << stopped.output;
    EXPECT_NE(stopped.output.find("asked to stop by a signal: saved at step"), std::string::npos)
        << stopped.output;
    finish(4);
}

/// Whether the process has a handler for the signal (proc(5), SigCgt).
bool listens(pid_t pid, int signal) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("SigCgt:"))
            return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0;
    return false;
}

/// Whether SIGSTOP has the process (proc(5), State).
bool is_stopped(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("State:")) return line.find('T') != std::string::npos;
    return false;
}

TEST_F(StopAndResume, AskedToStopBeforeMpiHasStartedItSavesAfterTheFirstStep) {
    auto command = trireme(2, {"train", folder_.path() + "/run.yaml"});
    // rank 0 waits for it in MPI_Init, until it is told to go on
    command.insert(command.begin(), {"env", "TRIREME_FAULT=start:1:*:stop"});
    auto job = std::async(std::launch::async, [&] { return run_command(command); });
    auto const limit = std::chrono::steady_clock::now() + 200s;
    std::vector<pid_t> pids;
    do {
        std::this_thread::sleep_for(10ms);
        pids = ranks_of(folder_.path());
    } while ((pids.size() < 2 ||
              !std::ranges::all_of(pids, [](pid_t pid) { return listens(pid, SIGUSR1); })) &&
             std::chrono::steady_clock::now() < limit);
    while (pids.size() == 2 && std::ranges::none_of(pids, is_stopped) &&
           std::chrono::steady_clock::now() < limit)
        std::this_thread::sleep_for(10ms);
    EXPECT_FALSE(fs::exists(folder_.path() + "/run")) << "the run began before the signal";
    for (pid_t const pid : pids) kill(pid, SIGUSR1);
    for (pid_t const pid : pids) kill(pid, SIGCONT);
    Outcome const stopped = job.get();
    EXPECT_NE(stopped.output.find("fault fired"), std::string::npos) << stopped.output;
    EXPECT_EQ(stopped.exit_code, 85) << stopped.output;
    EXPECT_NE(stopped.output.find("asked to stop by a signal: saved at step 1;"), std::string::npos)
        << stopped.output;
    finish(2);
}

TEST_F(StopAndResume, ADamagedCheckpointIsPassedOverForTheOneBefore) {
    EXPECT_NE(interrupt(folder_.path(), 2, 13, SIGKILL).exit_code, 0);
    std::string newest;
    for (auto const& entry : fs::directory_iterator(folder_.path() + "/run/checkpoints"))
        if (entry.path().extension().empty()) newest = std::max(newest, entry.path().string());
    std::fstream file(newest + "/rank-00001.h5", std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(0, std::ios::end);
    auto const middle = file.tellg() / 2;
    file.seekg(middle);
    char byte = static_cast<char>(file.get());
    file.seekp(middle);
    file.put(static_cast<char>(byte ^ 4));
    file.close();
    Outcome const verify =
        run_command(trireme(0, {"checkpoint", "verify", "--run", folder_.path() + "/run"}));
    EXPECT_EQ(verify.exit_code, 1);
    EXPECT_NE(verify.output.find("BAD"), std::string::npos) << verify.output;
    Outcome const rest = run_command(trireme(2, {"train", folder_.path() + "/run.yaml"}));
    EXPECT_NE(rest.output.find("cannot be used"), std::string::npos) << rest.output;
    EXPECT_EQ(final_hash(folder_.path() + "/run"), expected_);
}

TEST_F(StopAndResume, ARunFolderOfAnotherConfigurationIsRefused) {
    EXPECT_NE(interrupt(folder_.path(), 1, 6, SIGKILL).exit_code, 0);
    Outcome const other = run_command(trireme(
        2, {"train", folder_.path() + "/run.yaml", "--set", "optimizer.learning_rate=1e-3"}));
    EXPECT_EQ(other.exit_code, 2) << other.output;
    EXPECT_NE(other.output.find("another configuration"), std::string::npos) << other.output;
    finish(2);
}

} // namespace
} // namespace trireme::test
