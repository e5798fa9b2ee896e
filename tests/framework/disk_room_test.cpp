// Room for checkpoints on a disk: what rules keep, what quotas leave.
#include <gtest/gtest.h>
#include <sys/quota.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "cluster/file.hpp"
#include "framework/run/disk_room.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework::run {
namespace {

/// No file system here keeps quotas, so that a stand-in answers for the system call.
struct Answer {
    int error = 0;
    std::uint64_t hard = 0, soft = 0, used = 0, grace_ends = 0; ///< limits in KiB, used in bytes
};
std::array<Answer, 2> answers; ///< of the user, of the group
std::int64_t asked = 0;

Quota answered(std::string const& folder, Answer const& user, Answer const& group) {
    answers = {user, group};
    return quota_of(folder);
}

} // namespace
} // namespace trireme::framework::run

extern "C" int quotactl(int command, char const*, int, caddr_t to) {
    using namespace trireme::framework::run;
    ++asked;
    bool const user = command == static_cast<int>(QCMD(Q_GETQUOTA, USRQUOTA));
    Answer const& answer = answers[user ? 0 : 1];
    if (answer.error) return errno = answer.error, -1;
    dqblk quota{};
    quota.dqb_bhardlimit = answer.hard;
    quota.dqb_bsoftlimit = answer.soft;
    quota.dqb_curspace = answer.used;
    quota.dqb_btime = answer.grace_ends;
    *reinterpret_cast<dqblk*>(to) = quota;
    return 0;
}

namespace trireme::framework::run {
namespace {

TEST(DiskRoom, CountsWhatTheRulesKeepAndTheOneBeingWritten) {
    test::TemporaryFolder const folder;
    std::string const run = folder.path() + "/run";
    SavesToCome to_come{.rules = {.every = 10}, .bytes = 12'000, .evaluated = 50};
    auto const most = [&](std::int64_t steps) {
        to_come.steps = steps;
        return disk_room(run, to_come).most;
    };
    EXPECT_EQ(most(100), 2 + 1 + 1) << "keep_last, the best, the one being written";
    EXPECT_EQ(most(5), 1) << "the end alone is saved";
    to_come.rules.keep_best = false;
    EXPECT_EQ(most(100), 3);
    to_come.rules.keep_every = 20;
    EXPECT_EQ(most(100), 3 + 5);
    std::filesystem::create_directories(run + "/checkpoints/step-000000010");
    cluster::write_file(run + "/checkpoints/step-000000010/a", std::string(5000, 'x'));
    to_come.steps = 10;
    to_come.evaluated = 0;
    DiskRoom room = disk_room(run, to_come);
    EXPECT_EQ(room.checkpoint, 12'000);
    EXPECT_EQ(room.needed(), 3 * 12'000 - 5000) << "one is there, and two saves are to come";
    room.free = room.needed();
    EXPECT_EQ(room.refusal(), "");
    room.place = "P";
    room.free = 30'999;
    EXPECT_EQ(
        room.refusal(),
        "run: P: 31.0 kB free, and the run will write 31.0 kB: up to 3 checkpoints of 12.0 kB at "
        "once; legal: a disk with room, or fewer of them (checkpoint.keep_last, keep_best, "
        "keep_every)");
}

TEST(DiskRoom, AQuotaIsLessThanTheDiskHas) {
    test::TemporaryFolder const folder;
    Answer const off{.error = ESRCH}, closed{.error = ENOSYS};
    asked = 0;
    Quota const unknown = answered(folder.path(), closed, closed);
    if (asked == 0) GTEST_SKIP() << folder.path() << " lies on no block device";
    EXPECT_EQ(unknown.line(), "quota: not known here");
    EXPECT_EQ(answered(folder.path(), off, off).line(), "quota: none");
    EXPECT_EQ(answered(folder.path(), {}, off).line(), "quota: none") << "accounted, not limited";
    EXPECT_EQ(answered(folder.path(), {.hard = 30, .soft = 20, .used = 720}, off).line(),
              "quota: 30.0 kB left");
    EXPECT_EQ(answered(folder.path(), off, {.soft = 30, .used = 720}).line(),
              "quota: 30.0 kB left");
    EXPECT_EQ(answered(folder.path(), {.hard = 30, .used = 720}, {.hard = 20, .used = 480}).free,
              20'000);
    EXPECT_EQ(
        answered(folder.path(), {.hard = 30, .soft = 20, .used = 25 << 10, .grace_ends = 1}, off)
            .free,
        0)
        << "the days of grace are over";
    std::string const run = folder.path() + "/run";
    answers = {Answer{.hard = 30, .used = 720}, off};
    DiskRoom room = disk_room(run, {.bytes = 12'000, .steps = 10});
    EXPECT_EQ(room.free, 30'000);
    room.place = "P";
    EXPECT_EQ(room.refusal(), "") << room.needed();
    room = disk_room(run, {.bytes = 120'000, .steps = 10});
    room.place = "P";
    EXPECT_EQ(
        room.refusal(),
        "run: P: 30.0 kB left of your quota (`quota -s`), and the run will write 120.0 kB: up to 1 "
        "checkpoint of 120.0 kB at once; legal: a disk with room, or fewer of them "
        "(checkpoint.keep_last, keep_best, keep_every)");
}

} // namespace
} // namespace trireme::framework::run
