// Tests which of a run's checkpoints stay, and what a killed job left behind.
#include <gtest/gtest.h>

#include <filesystem>

#include "cluster/error.hpp"
#include "framework/checkpoint/folder.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

Names names_of(std::vector<std::int64_t> const& steps) {
    Names names;
    for (auto const step : steps) names.push_back(checkpoint::checkpoint_name(step));
    return names;
}

TEST(KeepRules, KeepTheNewestTheBestAndTheMultiples) {
    Names const all = names_of({60, 50, 40, 30, 20, 10});
    EXPECT_EQ(checkpoint::surplus(all, 60, 30, {.last = 2, .best = true}), names_of({40, 20, 10}));
    EXPECT_EQ(checkpoint::surplus(all, 60, 30, {.last = 2, .best = false}),
              names_of({40, 30, 20, 10}));
    EXPECT_EQ(checkpoint::surplus(all, 60, -1, {.last = 1, .best = true, .every = 20}),
              names_of({50, 30, 10}));
    EXPECT_EQ(checkpoint::surplus(all, 60, 10, {.last = 9}), Names{});
}

/// Step 8 was damaged, the run went on from 4 and saves 6: the damaged one must not count as the
/// newest.
TEST(KeepRules, OneThatWasPassedOverPushesNothingOut) {
    EXPECT_EQ(checkpoint::surplus(names_of({8, 6, 4}), 6, -1, {.last = 1}), names_of({4}));
    EXPECT_EQ(checkpoint::surplus(names_of({8, 6, 4}), 6, -1, {.last = 2}), Names{});
}

class Folder : public testing::Test {
  protected:
    void make(std::string const& name) const { fs::create_directories(path() + "/" + name); }
    std::string path() const { return folder_.path() + "/run/checkpoints"; }
    test::TemporaryFolder folder_;
};

/// Training would begin anew over what is there.
TEST_F(Folder, WhatCannotBeListedIsNotEmpty) {
    EXPECT_EQ(checkpoint::list_checkpoints(path()), Names{});
    fs::create_directories(folder_.path() + "/run");
    fs::create_symlink("checkpoints", path()); // a circle, which root cannot list either
    EXPECT_THROW(static_cast<void>(checkpoint::list_checkpoints(path())), cluster::InputError);
}

TEST_F(Folder, LeftoversAreNoCheckpointsAndGo) {
    for (auto const* name : {"step-000000004", "step-000000008", "step-000000012.partial",
                             "step-000000002.removed", "step-000000008.former", "step-", "notes"})
        make(name);
    EXPECT_EQ(checkpoint::list_checkpoints(path()), names_of({8, 4}));
    checkpoint::open_checkpoints(path());
    EXPECT_EQ(checkpoint::list_checkpoints(path()), names_of({8, 4}));
    for (auto const* name :
         {"step-000000012.partial", "step-000000002.removed", "step-000000008.former"})
        EXPECT_FALSE(fs::exists(path() + "/" + name)) << name;
    EXPECT_TRUE(fs::exists(path() + "/notes")) << "not ours";
}

/// Killed between the two renames of a step that is saved again: the former one is all there is.
TEST_F(Folder, AFormerOneStandsInForASuccessorThatNeverCame) {
    make("step-000000008.former");
    make("step-000000004");
    EXPECT_EQ(checkpoint::list_checkpoints(path()),
              (Names{"step-000000008.former", "step-000000004"}));
    checkpoint::open_checkpoints(path());
    EXPECT_TRUE(fs::exists(path() + "/step-000000008.former"));
    EXPECT_EQ(checkpoint::step_of("step-000000008.former"), 8);
}

} // namespace
} // namespace trireme::framework
