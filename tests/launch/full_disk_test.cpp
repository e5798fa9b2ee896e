// Commands that meet a full disk.
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <regex>

#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

/// A file system of its own, of a few kilobytes.
class FullDisk : public Scene {
  protected:
    void SetUp() override {
        fs::create_directories(disk());
        if (mount("tmpfs", disk().c_str(), "tmpfs", 0, "size=64k") != 0)
            GTEST_SKIP() << "mounting a small file system takes root";
        mounted_ = true;
    }
    void TearDown() override {
        if (mounted_) umount(disk().c_str());
    }
    std::string disk() const { return dir() + "/disk"; }
    void resize(char const* size) const {
        ASSERT_EQ(mount("tmpfs", disk().c_str(), "tmpfs", MS_REMOUNT,
                        (std::string("size=") + size).c_str()),
                  0);
    }
    static std::string last_line(std::string const& text) {
        std::string const body = text.substr(0, text.find_last_not_of('\n') + 1);
        return body.substr(body.rfind('\n') + 1);
    }
    bool mounted_ = false;
};

TEST_F(FullDisk, PrepareLeavesNothing) {
    std::string rows;
    for (int i = 0; i < 4000; ++i)
        rows += "{\"text\": \"the film is good\", \"label\": \"" + std::to_string(i % 2) + "\"}\n";
    write("many.jsonl", rows)(dir());
    auto arguments = prepare("many.jsonl");
    arguments[6] = "DIR/disk/out";
    Outcome const outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(std::regex_match(
        outcome.output,
        std::regex("trireme: DIR/disk/out.partial-[0-9a-f]{8}/train-00000.h5.*: No space left on "
                   "device \\(the disk is full: see `df -h` .*\\)\n")))
        << outcome.output;
    EXPECT_EQ(snapshot(disk()), std::vector<std::string>{});
}

TEST_F(FullDisk, ARunWhoseCheckpointsHaveNoRoomIsRefused) {
    std::vector<std::string> const set{"run=DIR/disk/run", "train.steps=4", "checkpoint.every=1",
                                       "evaluation.every=9", "checkpoint.keep_last=9"};
    for (bool const dry : {false, true}) {
        auto arguments = train(set);
        if (dry) arguments.emplace_back("--dry-run");
        Outcome const outcome = run(arguments);
        EXPECT_EQ(outcome.exit_code, 2);
        std::string const line = last_line(outcome.output);
        EXPECT_TRUE(
            line.starts_with("trireme: run: DIR/disk: 65.5 kB free, and the run will write "))
            << outcome.output;
        EXPECT_TRUE(line.ends_with(
            " at once; legal: a disk with room, or fewer of them (checkpoint.keep_last, "
            "keep_best, keep_every)"))
            << outcome.output;
        EXPECT_EQ(snapshot(disk()), std::vector<std::string>{});
    }
}

TEST_F(FullDisk, DoctorComparesARunWithItsDisk) {
    Outcome const full = run({"doctor", "DIR/run.yaml", "--set", "run=DIR/disk/run"});
    EXPECT_EQ(full.exit_code, 1) << full.output;
    EXPECT_TRUE(std::regex_search(
        full.output,
        std::regex("problem  checkpoints +run: DIR/disk: 65.5 kB free, and the run will write ")))
        << full.output;
    resize("256m");
    Outcome const roomy = run({"doctor", "DIR/run.yaml", "--set", "run=DIR/disk/run"});
    EXPECT_TRUE(std::regex_search(
        roomy.output,
        std::regex("  ok       checkpoints +[0-9]+ checkpoints? of [0-9.]+ kB at once, 268.4 "
                   "MB free in DIR/disk\n")))
        << roomy.output;
    EXPECT_TRUE(std::regex_search(roomy.output, std::regex("data folder +DIR/data ")))
        << "the data of the configuration\n"
        << roomy.output;
    Outcome const wrong = run({"doctor", "DIR/run.yaml", "--set", "data.path=DIR/none"});
    EXPECT_EQ(wrong.exit_code, 1) << wrong.output;
    EXPECT_TRUE(std::regex_search(
        wrong.output, std::regex("problem  checkpoints +DIR/none/manifest.json: no such file")))
        << wrong.output;
}

TEST_F(FullDisk, ExportLeavesNothing) {
    ASSERT_EQ(run(train()).exit_code, 0);
    resize("32k");
    Outcome const outcome = run({"export", "--run", "DIR/run", "--output", "DIR/disk/out"});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(std::regex_match(
        outcome.output,
        std::regex(
            "trireme: DIR/disk/out.partial-[0-9a-f]{8}/model.safetensors: "
            "write failed: No space left on device \\(the disk is full: see `df -h` .*\\)\n")))
        << outcome.output;
    EXPECT_EQ(snapshot(disk()), std::vector<std::string>{});
}

} // namespace
} // namespace trireme::test
