// Copies of data on a disk of the node: made once, used again, mended, taken away.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/fault/fault_job.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

class Staging : public testing::Test {
  protected:
    std::string to() const { return run_.folder() + "/disk"; }
    FaultyJob job(int ranks, std::string const& fault = "", std::vector<std::string> more = {}) {
        more.push_back("data.stage_to=" + to());
        return run_.job(ranks, fault, more);
    }
    /// Files in the folders of copies.
    std::vector<fs::path> copies() const {
        std::vector<fs::path> found;
        for (auto const& entry : fs::recursive_directory_iterator(to()))
            if (entry.is_regular_file() && entry.path().extension() != ".lock")
                found.push_back(entry.path());
        return found;
    }
    fs::path shard() const {
        for (auto const& path : copies())
            if (path.extension() == ".h5") return path;
        return {};
    }
    void expect_whole(FaultyJob const& job, std::string const& says) {
        EXPECT_EQ(job.exit_code, 0) << job.output();
        EXPECT_NE(job.find({says}), nullptr) << job.output();
        EXPECT_EQ(final_hash(run_.run()), unbroken_hash());
        fs::remove_all(run_.run());
    }
    FaultyRun run_;
};

TEST_F(Staging, CopiesOnceANodeAndFindsTheCopiesAgain) {
    expect_whole(job(2), "4 files of data copied to ");
    EXPECT_EQ(copies().size(), 4U);
    auto const before = fs::last_write_time(shard());
    expect_whole(job(1), "0 files of data copied to ");
    EXPECT_EQ(fs::last_write_time(shard()), before);
}

TEST_F(Staging, TakesTheCopiesAwayWhereThatIsAskedFor) {
    expect_whole(job(1), "4 files of data copied to ");
    EXPECT_FALSE(copies().empty());
    expect_whole(job(2, "", {"data.remove_staged=true"}), "0 files of data copied to ");
    EXPECT_TRUE(copies().empty());
}

TEST_F(Staging, CopiesAgainWhatIsBroken) {
    expect_whole(job(1), "4 files of data copied to ");
    fs::path const broken = shard();
    auto const size = fs::file_size(broken);
    {
        std::fstream file(broken, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(size / 2));
        char const old = static_cast<char>(file.get());
        file.seekp(static_cast<std::streamoff>(size / 2));
        file.put(static_cast<char>(old ^ 1)); // the fault
    }
    expect_whole(job(2), "1 file of data copied to ");
    fs::resize_file(broken, size / 2); // another one
    expect_whole(job(1), "1 file of data copied to ");
    EXPECT_EQ(fs::file_size(broken), size);
}

TEST_F(Staging, IsRefusedWhereThereIsTooLittleRoom) {
    FaultyJob const full = job(2, "stage/room:0:*:no_space");
    EXPECT_TRUE(full.fired()) << full.output();
    EXPECT_EQ(full.exit_code, 2) << full.output();
    EXPECT_NE(full.find({"data.stage_to: ", " MB to copy and 0.0 MB free; legal: a disk with room "
                                            "for them, or no data.stage_to"}),
              nullptr)
        << full.output();
    EXPECT_TRUE(copies().empty());
    EXPECT_FALSE(fs::exists(run_.run() + "/metrics.jsonl"));
}

TEST_F(Staging, GoesOnAfterACopyThatWasKilled) {
    FaultyJob const killed = job(2, "stage/copied:0:*:kill");
    ASSERT_TRUE(killed.fired()) << killed.output();
    EXPECT_NE(killed.exit_code, 0);
    ASSERT_FALSE(copies().empty()); // half of a copy is left
    EXPECT_NE(copies().front().string().find(".partial-"), std::string::npos);
    expect_whole(job(2), "4 files of data copied to ");
    for (auto const& path : copies())
        EXPECT_EQ(path.string().find(".partial-"), std::string::npos) << path;
}

TEST_F(Staging, AFailureOfOneRankIsToldByAllInOneLine) {
    FaultyJob const failed = job(2, "stage/copied:0:*:raise");
    EXPECT_TRUE(failed.fired()) << failed.output();
    EXPECT_NE(failed.exit_code, 0);
    EXPECT_EQ(failed.reports().size(), 1U) << failed.output();
}

TEST_F(Staging, IsRefusedForAFolderThatCannotBeMade) {
    std::ofstream(to()) << "a file";
    FaultyJob const job_there = job(2);
    EXPECT_EQ(job_there.exit_code, 2) << job_there.output();
    EXPECT_NE(job_there.find(
                  {"data.stage_to: ", "legal: a folder on a disk of the node that can be written"}),
              nullptr)
        << job_there.output();
}

} // namespace
} // namespace trireme::test
