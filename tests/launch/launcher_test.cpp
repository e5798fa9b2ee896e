#include "launch/launcher.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "cluster/error.hpp"
#include "framework/run/stop_signal.hpp"

namespace trireme::launch {
namespace {

/// A rank that leaves with `code`, late: the launcher asks it to end, in each way that there is.
[[noreturn]] void leave_late(int rank, int ranks, int code) {
    {
        framework::run::StopSignal const listening;
        code = leave_in_order(rank, ranks, code);
    }
    for (int const signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) std::raise(signal);
    _exit(code);
}

TEST(Leaving, ARankThatIsLateKeepsItsCodeWhenTheLauncherEndsIt) {
    int const code = cluster::kSavedToContinue;
    EXPECT_EXIT(leave_late(1, 2, code), testing::ExitedWithCode(cluster::kDone), "");
    EXPECT_EXIT(leave_late(0, 2, code), testing::ExitedWithCode(code), "");
    EXPECT_EXIT(leave_late(1, 2, cluster::kBadInput), testing::ExitedWithCode(cluster::kDone), "");
}

TEST(Leaving, WhoIsAloneOrDoneCanStillBeEnded) {
    EXPECT_EXIT(leave_late(0, 1, cluster::kSavedToContinue), testing::KilledBySignal(SIGTERM), "");
    EXPECT_EXIT(leave_late(1, 2, cluster::kDone), testing::KilledBySignal(SIGTERM), "");
}

} // namespace
} // namespace trireme::launch
