// Keys go by another name for one version: the old one is taken with one line, never in silence,
// and never beside the new one.
#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/config/config.hpp"
#include "framework/config/layout_config.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework::config {
namespace {

constexpr char const* kGood = "run: r\ntask: classification\nmodel:\n  path: m\ndata:\n  path: d\n";
using Lines = std::vector<std::string>;

class OldKeys : public testing::Test {
  protected:
    std::string file(std::string const& batch) {
        std::string path = folder_.path() + "/run.yaml";
        cluster::write_file(path, std::string(kGood) + batch);
        return path;
    }

  private:
    test::TemporaryFolder folder_;
};

TEST_F(OldKeys, AreTakenFromAFileWithOneLine) {
    std::string const path = file("batch:\n  global: 8\n  tokens_per_slot: 77\n");
    auto const resolved = read_config_with_origins(path, {}, {});
    EXPECT_EQ(resolved.config.batch.tokens_per_micro_batch, 77);
    EXPECT_EQ(resolved.config.batch.global, 8);
    EXPECT_EQ(resolved.config.notes,
              (Lines{path + ":9: batch.tokens_per_slot is called batch.tokens_per_micro_batch now; "
                            "the next version will refuse the old name"}));
    EXPECT_EQ(resolved.origins.at("batch.tokens_per_micro_batch"), path + ":9");
    EXPECT_FALSE(resolved.origins.contains("batch.tokens_per_slot"));
    EXPECT_EQ(to_yaml(resolved.config).find("slot"), std::string::npos) << "written by the new one";
}

TEST_F(OldKeys, AreTakenFromAssignmentsWhichWinOverTheFile) {
    std::string const old_file = file("batch:\n  tokens_per_slot: 77\n");
    auto resolved = read_config_with_origins(old_file, {"batch.tokens_per_slot=66"}, {});
    EXPECT_EQ(resolved.config.batch.tokens_per_micro_batch, 66);
    EXPECT_EQ(resolved.origins.at("batch.tokens_per_micro_batch"), "TRIREME_SET");
    resolved = read_config_with_origins(old_file, {}, {"batch.tokens_per_micro_batch=55"});
    EXPECT_EQ(resolved.config.batch.tokens_per_micro_batch, 55);
    EXPECT_EQ(resolved.origins.at("batch.tokens_per_micro_batch"), "--set");
    resolved = read_config_with_origins(file("batch:\n  tokens_per_micro_batch: 77\n"), {},
                                        {"batch.tokens_per_slot=44"});
    EXPECT_EQ(resolved.config.batch.tokens_per_micro_batch, 44);
    EXPECT_EQ(resolved.origins.at("batch.tokens_per_micro_batch"), "--set");
    EXPECT_EQ(resolved.config.notes.size(), 1U);
}

TEST_F(OldKeys, AreRefusedBesideTheNew) {
    std::string const path = file("batch:\n  tokens_per_slot: 77\n  tokens_per_micro_batch: 77\n");
    try {
        read_config(path, {});
        FAIL() << "two values of one thing";
    } catch (cluster::InputError const& error) {
        EXPECT_EQ(std::string(error.what()),
                  path + ":8: batch.tokens_per_slot is the old name of "
                         "batch.tokens_per_micro_batch, which is given too; legal: one of them");
    }
}

TEST_F(OldKeys, KeepTheirRule) {
    try {
        read_config(file("batch:\n  tokens_per_slot: 0\n"), {});
        FAIL() << "0 tokens";
    } catch (cluster::InputError const& error) {
        EXPECT_NE(std::string(error.what())
                      .find("run.yaml:8: batch.tokens_per_micro_batch: 0: "
                            "legal: a whole number >= 1"),
                  std::string::npos)
            << error.what();
    }
}

TEST_F(OldKeys, WithoutAValueOrInASecondSectionAreRefusedInOneLine) {
    for (auto const& [batch, line] :
         {std::pair{"batch:\n  tokens_per_slot:\n",
                    ":8: batch.tokens_per_micro_batch: no value: legal: a whole number >= 1"},
          {"batch:\n  global: 8\nbatch:\n  tokens_per_slot: 9\n", "batch is given twice"}}) {
        std::string const path = file(batch);
        try {
            read_config(path, {});
            ADD_FAILURE() << batch;
        } catch (cluster::InputError const& error) {
            EXPECT_NE(std::string(error.what()).find(line), std::string::npos) << error.what();
        }
    }
}

TEST(OldKeysElsewhere, AreNoDifferenceOfMeaning) {
    EXPECT_EQ(
        differences("batch:\n  tokens_per_slot: 7\n", "batch:\n  tokens_per_micro_batch: 7\n"),
        Lines{});
    EXPECT_EQ(
        differences("batch:\n  tokens_per_slot: 7\n", "batch:\n  tokens_per_micro_batch: 8\n"),
        Lines{"batch.tokens_per_micro_batch: 7 -> 8"});
}

TEST(OldKeysElsewhere, AreTakenByCommandsThatTakeTheNew) {
    Config const config = layout_config("trireme verify", {"batch.tokens_per_micro_batch"},
                                        {"batch.tokens_per_slot=9"}, "m", "classification");
    EXPECT_EQ(config.batch.tokens_per_micro_batch, 9);
    EXPECT_THROW(layout_config("trireme evaluate", {"parallel."}, {"batch.tokens_per_slot=9"}, "m",
                               "classification"),
                 cluster::InputError);
}

} // namespace
} // namespace trireme::framework::config
