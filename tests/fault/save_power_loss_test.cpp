// Tests what a power loss leaves of a save, at every moment of it: the record of its calls is
// replayed on a model of a file system that keeps no more than it must, and what the disk then
// holds must be a sound checkpoint.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/fault/disk_model.hpp"
#include "tests/fault/save_io_faults.hpp"
#include "tests/fault/save_scene.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

struct Case {
    char const* name;
    /// Saves, those in `before` by another process. The last of `saves` is looked at.
    std::vector<Save> before, saves;
    bool async;
    bool new_job; ///< it opens the folder, whose own name is safe already

    std::int64_t old_version() const {
        return saves.size() > 1 ? saves[saves.size() - 2].version
               : before.empty() ? -1
                                : before.back().version;
    }
};

class PowerLoss : public testing::TestWithParam<Case> {
  protected:
    /// Makes the saves in a child and returns the calls of the last one; the files before it are in
    /// `before_`.
    std::vector<io::Event> recorded() {
        Case const& at = GetParam();
        std::string const log = folder_.path() + "/log", run = folder_.path() + "/disk/run";
        fs::create_directories(folder_.path() + "/disk");
        if (!at.before.empty()) {
            EXPECT_EQ(make_saves(scene_config(run, false), at.before).finish, "");
        }
        pid_t const child = fork();
        if (child == 0) {
            auto const outcome =
                make_saves(scene_config(run, at.async), at.saves, [&](int rank, std::size_t i) {
                    if (rank != 0 || i + 1 != at.saves.size()) return;
                    fs::copy(folder_.path() + "/disk", folder_.path() + "/before",
                             fs::copy_options::recursive);
                    io::record(log);
                    io::watch(folder_.path() + "/disk");
                });
            _exit(outcome.finish.empty() ? 0 : 1);
        }
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
        return io::read_record(log);
    }

    /// The version that a job would find in these files.
    std::int64_t version_in(std::map<std::string, std::string> const& files) {
        std::ostringstream key;
        for (auto const& [path, bytes] : files)
            key << path << '\0' << bytes.size() << '\0' << bytes;
        auto const [known, added] = seen_.emplace(key.str(), 0);
        if (!added) return known->second;
        std::string const disk = folder_.path() + "/after";
        fs::remove_all(disk);
        fs::create_directories(disk);
        for (auto const& [path, bytes] : files)
            if (path.ends_with('/'))
                fs::create_directories(disk + path);
            else
                std::ofstream(disk + path, std::ios::binary) << bytes;
        return known->second = newest_sound_version(disk + "/run");
    }

    /// Replays the record without its sync number `without`; what is found wrong, or nothing.
    std::string loss(std::vector<io::Event> const& events, std::int64_t without) {
        std::int64_t const old = GetParam().old_version(), next = GetParam().saves.back().version;
        Disk disk(folder_.path() + "/before", folder_.path() + "/disk");
        std::mt19937 random(7);
        std::int64_t syncs = 0;
        for (std::size_t i = 0; i <= events.size(); ++i) {
            for (Left const left : kLeft) {
                std::int64_t const found = version_in(disk.after_power_loss(left, random));
                bool const sound = found == next || (i < events.size() && found == old);
                if (!sound)
                    return "after " + std::to_string(i) + " of " + std::to_string(events.size()) +
                           " calls, case " + std::to_string(static_cast<int>(left)) + ": version " +
                           std::to_string(found);
            }
            if (i == events.size()) break;
            if (events[i].call == Call::sync && ++syncs == without) continue;
            disk.apply(events[i]);
        }
        return "";
    }

    TemporaryFolder folder_;
    std::map<std::string, std::int64_t> seen_;
};

TEST_P(PowerLoss, LeavesASoundCheckpointWhateverMomentItComes) {
    at::set_num_threads(1); // a fork takes along no other thread
    auto const events = recorded();
    ASSERT_GT(events.size(), 5U);
    EXPECT_EQ(loss(events, 0), "");
    RecordProperty("states", static_cast<int>(seen_.size()));
    std::printf("%zu calls, %zu different disks after a power loss\n", events.size(), seen_.size());
    record(
        {.id = "F2",
         .fault = std::string("power loss at every moment of a save: ") + GetParam().name,
         .outcome = std::to_string(seen_.size()) + " different disks, a sound checkpoint on each"});
}

/// A sync that could be left out would be waste; one whose loss went unseen, a test that cannot
/// fail.
TEST_P(PowerLoss, EverySyncIsNeeded) {
    at::set_num_threads(1);
    auto const events = recorded();
    std::int64_t const syncs =
        std::ranges::count_if(events, [](io::Event const& e) { return e.call == Call::sync; });
    ASSERT_GE(syncs, 2);
    for (std::int64_t k = 1; k <= syncs; ++k) {
        std::int64_t seen = 0;
        auto const event = std::ranges::find_if(
            events, [&](auto const& e) { return e.call == Call::sync && ++seen == k; });
        // safe already
        if (GetParam().new_job && event->path.find("/checkpoints") == std::string::npos) continue;
        std::string const found = loss(events, k);
        EXPECT_NE(found, "") << "sync " << k << " of " << syncs
                             << " is not needed: " << event->path;
        std::printf("without the sync of %s: %s\n", fs::path(event->path).filename().c_str(),
                    found.c_str());
    }
}

INSTANTIATE_TEST_SUITE_P(
    Save, PowerLoss,
    testing::Values(Case{"first", {}, {{4, 1}}, false, false},
                    Case{"next", {}, {{4, 1}, {8, 2}}, false, false},
                    Case{"next_in_background", {}, {{4, 1}, {8, 2}}, true, false},
                    Case{"state_of_the_same_step", {}, {{4, 1}, {4, 2}}, false, false},
                    Case{"same_step_by_another_job", {{4, 1}}, {{4, 2}}, false, true}),
    [](auto const& c) { return c.param.name; });

} // namespace
} // namespace trireme::test
