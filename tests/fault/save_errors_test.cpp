// Calls of a save that fail, each in turn: the error names the path, the former checkpoint stands,
// the next save works.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "tests/fault/save_io_faults.hpp"
#include "tests/fault/save_scene.hpp"
#include "tests/support/fault_result.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using io::Call;

framework::config::Config kept(std::string const& run, bool async) {
    auto config = scene_config(run, async);
    config.checkpoint.keep_last = 9;
    return config;
}

struct Fault {
    char const* id;
    Call call;
    int error;
    bool harmless; ///< the call is to be made again, or the rest of it
};

/// In a child that met the fault: two saves, the first of them struck. What became of it.
struct Struck {
    bool fired = false;
    SavesOutcome outcome;
};
Struck strike(std::string const& folder, framework::config::Config const& config,
              Fault const& fault, std::int64_t n, std::vector<Save> const& saves) {
    std::string const told = folder + "/told";
    io::reset_count();
    pid_t const child = fork();
    if (child == 0) {
        auto const outcome = make_saves(config, saves, [&](int rank, std::size_t i) {
            if (rank != 0 || i == 0) return;
            io::fail(fault.call, n, fault.error);
            io::watch(i == 1 ? config.run : ""); // a third save meets no fault
        });
        nlohmann::json const j{
            {"errors", outcome.errors}, {"finish", outcome.finish}, {"agreed", outcome.agreed}};
        std::ofstream(told) << j.dump();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "the process did not survive";
    auto const j = nlohmann::json::parse(std::ifstream(told));
    return {io::fired(), {j.at("errors"), j.at("finish"), j.at("agreed")}};
}

class Failing : public testing::TestWithParam<bool> {};

TEST_P(Failing, AnyCallOfASave) {
    at::set_num_threads(1); // a fork takes along no other thread
    TemporaryFolder const folder;
    std::vector<Fault> faults{{"F6", Call::write, ENOSPC, false},
                              {"F7", Call::sync, EIO, false},
                              {"F7", Call::write, io::kShort, true}};
    if (!GetParam())
        faults.insert(faults.end(), {{"F6", Call::sync, ENOSPC, false},
                                     {"F6", Call::open, ENOSPC, false},
                                     {"F6", Call::mkdir, ENOSPC, false},
                                     {"F7", Call::write, EIO, false},
                                     {"F7", Call::close, EIO, false},
                                     {"F7", Call::rename, EIO, false},
                                     {"F7", Call::write, EDQUOT, false},
                                     {"F7", Call::sync, EDQUOT, false},
                                     {"F7", Call::open, EDQUOT, false},
                                     {"F7", Call::close, EDQUOT, false},
                                     {"F7", Call::write, EINTR, true}});
    for (Fault const& fault : faults) {
        int struck = 0;
        for (std::int64_t n = 1;; ++n) {
            std::string const run = folder.path() + "/run",
                              what = std::string(io::kCalls[static_cast<int>(fault.call)]) + " " +
                                     std::to_string(n) + ", error " + std::to_string(fault.error);
            fs::remove_all(run);
            auto const config = kept(run, GetParam());
            // A failed save must not end the run.
            auto const [fired, outcome] =
                strike(folder.path(), config, fault, n, {{4, 1}, {8, 2}, {12, 3}});
            ASSERT_EQ(outcome.errors.size(), 3U) << what;
            EXPECT_TRUE(outcome.agreed) << what;
            EXPECT_EQ(outcome.finish, "") << what << ": the newest save went well";
            if (!fired) break;
            ++struck;
            EXPECT_EQ(outcome.errors[1].empty(), fault.harmless)
                << what << ": " << outcome.errors[1];
            EXPECT_TRUE(fault.harmless || outcome.errors[1].find(run) != std::string::npos)
                << what << ": " << outcome.errors[1];
            bool const reason =
                fault.harmless ||
                outcome.errors[1].find(std::strerror(fault.error)) != std::string::npos;
            EXPECT_TRUE(reason) << what << ": " << outcome.errors[1];
            char const* const way_on = fault.error == EDQUOT   ? "see `quota -s`"
                                       : fault.error == ENOSPC ? "see `df -h`"
                                                               : "";
            EXPECT_NE(outcome.errors[1].find(way_on), std::string::npos)
                << what << ": " << outcome.errors[1];
            EXPECT_EQ(resumed_version(config), 3) << what;
            EXPECT_EQ(newest_sound_version(run), 3) << what;
            if (HasFailure()) return;
        }
        EXPECT_GT(struck, 0) << io::kCalls[static_cast<int>(fault.call)];
        std::printf("%s %s: %d of %d calls struck\n", io::kCalls[static_cast<int>(fault.call)],
                    fault.error < 0 ? "short" : std::strerror(fault.error), struck, struck);
        record({.id = fault.id,
                .fault = std::string(io::kCalls[static_cast<int>(fault.call)]) + ": " +
                         (fault.error < 0 ? "short" : std::strerror(fault.error)) +
                         ", at each of " + std::to_string(struck) + " calls of a save" +
                         (GetParam() ? " in the background" : ""),
                .outcome =
                    fault.harmless
                        ? "the rest was written; nothing lost"
                        : "the error named the path; the run went on and its next save was sound"});
    }
}

INSTANTIATE_TEST_SUITE_P(Save, Failing, testing::Bool(),
                         [](auto const& c) { return c.param ? "InBackground" : "AtOnce"; });

/// The last save of a run: its failure is the run's.
TEST(FailingSave, OfTheLastOneIsAnErrorOnEveryRank) {
    at::set_num_threads(1);
    TemporaryFolder const folder;
    auto const config = kept(folder.path() + "/run", true);
    auto const [fired, outcome] =
        strike(folder.path(), config, {"F6", Call::write, ENOSPC, false}, 2, {{4, 1}, {8, 2}});
    ASSERT_TRUE(fired);
    EXPECT_TRUE(outcome.agreed);
    EXPECT_TRUE(outcome.finish.starts_with("checkpoint not saved: " + config.run))
        << outcome.finish;
    EXPECT_EQ(resumed_version(config), 1);
    EXPECT_FALSE(fs::exists(config.run + "/checkpoints/step-000000008.partial"));
}

class Damaged : public testing::Test {
  protected:
    void SetUp() override {
        at::set_num_threads(1);
        ASSERT_EQ(make_saves(config_, {{4, 1}, {8, 2}}).finish, "");
        ASSERT_EQ(resumed_version(config_), 2);
    }
    std::string path(int step, std::string const& file) const {
        return config_.run + "/checkpoints/" + framework::checkpoint::checkpoint_name(step) + "/" +
               file;
    }
    /// The newest one is passed over, with words about this file.
    void expect_former(std::string const& fault, std::string const& file) {
        std::string said;
        EXPECT_EQ(resumed_version(config_, &said), 1) << fault;
        EXPECT_NE(said.find("checkpoint step-000000008 cannot be used"), std::string::npos) << said;
        EXPECT_NE(said.find(file), std::string::npos) << fault << ": " << said;
    }
    static void record_refused(std::string const& id, std::string const& fault) {
        record({.id = id,
                .fault = fault,
                .outcome = "refused by name; the run resumed from the checkpoint before"});
    }
    TemporaryFolder folder_;
    framework::config::Config config_ = kept(folder_.path() + "/run", false);
};

TEST_F(Damaged, TruncatedEmptyAndMissingFiles) {
    for (std::string const file : {"rank-00000.h5", "rank-00001.h5", "whole.h5", "manifest.json"}) {
        std::string const whole = cluster::read_file(path(8, file));
        for (std::uintmax_t const size : {std::uintmax_t{0}, std::uintmax_t{1}, whole.size() / 2}) {
            fs::resize_file(path(8, file), size);
            expect_former(file + " cut to " + std::to_string(size) + " bytes", file);
            cluster::write_file(path(8, file), whole);
        }
        fs::remove(path(8, file));
        expect_former(file + " is missing", file);
        cluster::write_file(path(8, file), whole);
        EXPECT_EQ(resumed_version(config_), 2);
    }
    record_refused("F8", "each file of a checkpoint empty, of one byte, cut in half, missing");
}

TEST_F(Damaged, FilesOfAnotherStep) {
    for (std::string const file : {"rank-00000.h5", "rank-00001.h5", "whole.h5", "manifest.json"}) {
        std::string const whole = cluster::read_file(path(8, file));
        fs::copy_file(path(4, file), path(8, file), fs::copy_options::overwrite_existing);
        ASSERT_NE(cluster::read_file(path(8, file)), whole) << file;
        if (file == "whole.h5") { // for readers from outside: no load touches it
            EXPECT_EQ(resumed_version(config_), 2);
            EXPECT_EQ(newest_sound_version(config_.run), 1) << "verify reports it";
        } else {
            expect_former(file + " of step 4 in the checkpoint of step 8", "step-000000008");
        }
        cluster::write_file(path(8, file), whole);
    }
    record_refused("F10", "a rank's file or the manifest of another step in a checkpoint");
}

TEST_F(Damaged, FilesThatDoNotBelongThere) {
    fs::copy_file(path(4, "rank-00000.h5"), path(8, "rank-00002.h5"));
    EXPECT_EQ(resumed_version(config_), 2) << "nothing reads it";
    EXPECT_EQ(newest_sound_version(config_.run), 1) << "verify reports it";
    record({.id = "F8",
            .fault = "a file too many",
            .outcome = "verify named it; a load reads only what is listed"});
}

/// Root is bound by no permissions; the library refuses in their place.
TEST_F(Damaged, FilesThatCannotBeRead) {
    std::int64_t refused = 0;
    for (int const error : {EACCES, EIO, ESTALE}) {
        for (std::int64_t n = 1;; ++n) {
            io::reset_count();
            pid_t const child = fork();
            if (child == 0) {
                io::fail(Call::read, n, error);
                io::watch(path(8, ""));
                std::string said;
                auto const version = resumed_version(config_, &said);
                bool const named = said.find(path(8, "")) != std::string::npos;
                _exit(!io::fired() ? 9 : version == 1 && named ? 0 : 1);
            }
            int status = 0;
            waitpid(child, &status, 0);
            if (WIFEXITED(status) && WEXITSTATUS(status) == 9) break;
            EXPECT_EQ(status, 0) << "read " << n << ": " << std::strerror(error);
            ++refused;
        }
    }
    EXPECT_GT(refused, 9);
    record({.id = "F11",
            .fault = "EACCES, EIO or ESTALE at each of " + std::to_string(refused / 3) +
                     " opens and reads of a load",
            .outcome = "named the file; the run resumed from the checkpoint before"});
}

} // namespace
} // namespace trireme::test
