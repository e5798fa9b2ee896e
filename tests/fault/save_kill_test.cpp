// A save that is killed before each of its system calls, one after another: a checkpoint is always
// there.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <filesystem>

#include "tests/fault/save_io_faults.hpp"
#include "tests/fault/save_scene.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

struct Case {
    char const* name;
    std::vector<Save> before; ///< by another process
    std::vector<Save> saves;  ///< by the one that is killed in the last of them
    bool async;

    std::int64_t old_version() const {
        return saves.size() > 1 ? saves[saves.size() - 2].version
               : before.empty() ? -1
                                : before.back().version;
    }
};

class Killed : public testing::TestWithParam<Case> {};

/// Kills the save before its n-th call; false: it made fewer.
bool killed_at(std::int64_t n, framework::config::Config const& config, Case const& at) {
    io::reset_count();
    pid_t const child = fork();
    if (child == 0) {
        auto const outcome = make_saves(config, at.saves, [&](int rank, std::size_t i) {
            if (rank != 0 || i + 1 != at.saves.size()) return;
            io::skip_syncs();
            io::kill_at(n);
            io::watch(config.run);
        });
        _exit(outcome.finish.empty() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        EXPECT_EQ(WTERMSIG(status), SIGKILL);
        EXPECT_EQ(io::counted(), n) << "it did not die at the call it was to die at";
        return true;
    }
    EXPECT_EQ(WEXITSTATUS(status), 0);
    return false;
}

TEST_P(Killed, AtEverySystemCall) {
    at::set_num_threads(1); // a fork takes along no other thread
    Case const& at = GetParam();
    TemporaryFolder const folder;
    std::string const before = folder.path() + "/before";
    if (!at.before.empty()) {
        ASSERT_EQ(make_saves(scene_config(before, false), at.before).finish, "");
    }
    std::int64_t const old = at.old_version(), next = at.saves.back().version;
    std::int64_t n = 1, kept_old = 0, found_new = 0;
    std::string const run = folder.path() + "/run";
    auto const config = scene_config(run, at.async);
    auto const save_with_kill_at = [&](std::int64_t call) {
        fs::remove_all(run);
        if (fs::exists(before)) fs::copy(before, run, fs::copy_options::recursive);
        return killed_at(call, config, at);
    };
    for (;; ++n) {
        bool const killed = save_with_kill_at(n);
        std::int64_t const found = resumed_version(config);
        ASSERT_EQ(newest_sound_version(run), found) << "call " << n;
        ASSERT_TRUE(found == next || (killed && found == old))
            << "call " << n << ": version " << found;
        (found == old ? kept_old : found_new) += 1;
        if (!killed) break;
        // Leftovers are in nobody's way.
        ASSERT_EQ(make_saves(config, {{at.saves.back().step + 1, 99}}).finish, "") << "call " << n;
        ASSERT_EQ(newest_sound_version(run), 99) << "call " << n;
        for (auto const& entry : fs::directory_iterator(run + "/checkpoints"))
            ASSERT_EQ(entry.path().extension(), "")
                << "call " << n << ": " << entry.path() << " stays";
    }
    // Two ranks' calls come in varying order, so that the last kill may have been before the rename
    // once more.
    for (int again = 0; again < 20 && found_new < 2; ++again) {
        save_with_kill_at(n - 1);
        found_new += resumed_version(config) == next;
    }
    EXPECT_GT(n, 5);
    EXPECT_GT(kept_old, 0);
    EXPECT_GT(found_new, 1) << "no kill came after the rename: the last calls were not reached";
    RecordProperty("system_calls", static_cast<int>(n - 1));
    std::printf("%s: killed before each of %ld calls; the old one was found %ld times, the new one "
                "%ld times\n",
                at.name, static_cast<long>(n - 1), static_cast<long>(kept_old),
                static_cast<long>(found_new));
    record({.id = "F2",
            .fault = std::string("kill -9 before every system call of a save: ") + at.name,
            .outcome = std::to_string(n - 1) +
                       " kills, a sound checkpoint after each; the next save went through"});
}

INSTANTIATE_TEST_SUITE_P(
    Save, Killed,
    testing::Values(Case{"first", {}, {{4, 1}}, false}, Case{"next", {{4, 1}}, {{8, 2}}, false},
                    Case{"next_in_background", {{4, 1}}, {{8, 2}}, true},
                    Case{"same_step_by_another_job", {{4, 1}}, {{4, 2}}, false},
                    Case{"state_of_the_same_step", {}, {{4, 1}, {4, 2}}, false}),
    [](auto const& c) { return c.param.name; });

} // namespace
} // namespace trireme::test
