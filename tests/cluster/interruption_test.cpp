// A signal in the middle of what is being made: nothing is left of it, and the signal ends the
// process as it would have done.
#include "cluster/interruption.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::cluster {
namespace {

namespace fs = std::filesystem;

/// Is in the middle of making `path` when the signal comes, and does not notice it.
[[noreturn]] void make_until(int signal, std::string const& path) {
    std::signal(signal, SIG_DFL);
    RemovalAtSignal const tidy;
    StagingFolder const staging(path);
    fs::create_directory(staging.path() + "/deeper");
    write_file(staging.path() + "/deeper/file", "half of it");
    kill(getpid(), signal);
    while (true) pause();
}

TEST(Interruption, NothingIsLeftOfWhatWasBeingMade) {
    for (int const signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) {
        test::TemporaryFolder const folder;
        pid_t const child = fork();
        if (child == 0) make_until(signal, folder.path() + "/out");
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << strsignal(signal);
        EXPECT_TRUE(fs::is_empty(folder.path())) << strsignal(signal);
    }
}

TEST(Interruption, WhatNohupIgnoresEndsNothing) {
    test::TemporaryFolder const folder;
    pid_t const child = fork();
    if (child == 0) {
        std::signal(SIGHUP, SIG_IGN);
        RemovalAtSignal const tidy;
        StagingFolder const staging(folder.path() + "/out");
        kill(getpid(), SIGHUP);
        usleep(200'000);
        staging.commit();
        _exit(7);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    EXPECT_TRUE(fs::exists(folder.path() + "/out"));
}

} // namespace
} // namespace trireme::cluster
