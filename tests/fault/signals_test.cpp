// Signals as people send them: Ctrl-C and kill to mpirun, a terminal that is closed, a pause and
// its end.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using namespace std::chrono_literals;

/// A command in the background, with the signals as a shell at a terminal hands them down.
class Background {
  public:
    Background(std::vector<std::string> const& command, std::string const& log) {
        pid_ = fork();
        if (pid_ != 0) return;
        for (int const number : {SIGINT, SIGHUP, SIGTERM, SIGTSTP}) signal(number, SIG_DFL);
        setenv("OMPI_MCA_odls_base_sigkill_timeout", "60", 1);
        if (!std::freopen("/dev/null", "r", stdin) || !std::freopen(log.c_str(), "w", stdout))
            _exit(126);
        dup2(STDOUT_FILENO, STDERR_FILENO);
        std::vector<char*> argv;
        for (auto const& word : command) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    ~Background() {
        if (pid_ > 0 && !code_) kill(SIGKILL), wait();
    }
    Background(Background const&) = delete;
    Background& operator=(Background const&) = delete;
    void kill(int signal) const { ::kill(pid_, signal); }
    /// Exit code; -N: ended by signal N.
    int wait() {
        int status = 0;
        if (!code_ && waitpid(pid_, &status, 0) == pid_)
            code_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
        return code_.value_or(-1);
    }

  private:
    pid_t pid_ = -1;
    std::optional<int> code_;
};

class Signals : public testing::Test {
  protected:
    void SetUp() override { write_tiny_run(folder_.path()); }
    std::string run() const { return folder_.path() + "/run"; }
    std::string log() const { return folder_.path() + "/output"; }
    std::vector<std::string> train(int ranks) const {
        return trireme(ranks,
                       {"train", folder_.path() + "/run.yaml", "--set", "train.steps=1000000",
                        "--set", "checkpoint.every=1000000", "--set", "evaluation.every=1000000"});
    }
    std::size_t lines_of(std::string const& kind) const {
        std::size_t found = 0;
        for (auto const& line : metric_lines(run()))
            found += line.find("\"kind\":\"" + kind + "\"") != std::string::npos;
        return found;
    }
    /// Whether there are `count` events of a kind within that time.
    bool comes(std::string const& kind, std::size_t count, std::chrono::seconds limit) const {
        auto const end = std::chrono::steady_clock::now() + limit;
        while (lines_of(kind) < count && std::chrono::steady_clock::now() < end)
            std::this_thread::sleep_for(20ms);
        return lines_of(kind) >= count;
    }
    void is_saved() const {
        Outcome const status = run_command(trireme(0, {"status", run()}));
        EXPECT_NE(status.output.find("to be continued"), std::string::npos) << status.output;
        Outcome const verified = run_command(trireme(0, {"checkpoint", "verify", "--run", run()}));
        EXPECT_EQ(verified.exit_code, 0) << verified.output;
    }
    /// Ranks that stand still for half a second take it for a pause, and a busy machine may make
    /// them stand: what is wrong is wrong in each of three attempts.
    bool in_one_of_three(std::function<bool(Background const& job)> const& attempt) {
        for (int i = 0; i < 3; ++i) {
            std::filesystem::remove_all(run());
            Background job(train(2), log());
            bool const right = comes("train", 3, 60s) && attempt(job);
            job.kill(SIGKILL); // it sleeps until the two minutes are over
            job.wait();
            if (right) return true;
            std::this_thread::sleep_for(2s); // its ranks end without it
        }
        return false;
    }
    TemporaryFolder folder_;
};

/// mpirun says TERM to its ranks only a minute later here, and would kill them after another: they
/// hear of it at once.
TEST_F(Signals, ToMpirunLeaveAWholeSave) {
    for (int const signal : {SIGINT, SIGTERM, SIGHUP}) {
        EXPECT_TRUE(in_one_of_three([&](Background const& job) {
            job.kill(signal);
            return comes("end", 1, 30s);
        })) << signal;
        is_saved();
    }
}

TEST_F(Signals, Usr1ToMpirunGives85) {
    Background job(train(2), log());
    ASSERT_TRUE(comes("train", 3, 60s));
    job.kill(SIGUSR1);
    ASSERT_TRUE(comes("end", 1, 50s));
    is_saved();
}

TEST_F(Signals, AHangUpSavesAndUnderNohupDoesNothing) {
    for (bool const nohup : {false, true}) {
        std::filesystem::remove_all(run());
        auto command = train(0);
        if (nohup) command.insert(command.begin(), {"nohup"});
        Background job(command, log());
        ASSERT_TRUE(comes("train", 3, 60s));
        job.kill(SIGHUP);
        if (nohup) {
            EXPECT_TRUE(comes("train", lines_of("train") + 20, 60s));
            job.kill(SIGTERM);
        }
        EXPECT_EQ(job.wait(), 85);
        is_saved();
    }
}

/// Ctrl-Z and `fg`: mpirun hands both on, and CONT is no wish to end then.
TEST_F(Signals, APauseIsNoWishToEnd) {
    EXPECT_TRUE(in_one_of_three([&](Background const& job) {
        job.kill(SIGTSTP);
        std::this_thread::sleep_for(3s);
        job.kill(SIGCONT);
        bool const goes_on = comes("train", lines_of("train") + 20, 30s) && lines_of("end") == 0;
        job.kill(SIGUSR1);
        return comes("end", 1, 50s) && goes_on;
    }));
    is_saved();
}

} // namespace
} // namespace trireme::test
