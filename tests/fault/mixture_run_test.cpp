// Runs on several sources: the same weights on any ranks, also after an end in the middle, and what
// they say of their sources.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/fault/fault_job.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using nlohmann::json;
using Settings = std::vector<std::string>;

constexpr char const* kSources =
    "data.train=[{name: own, weight: 3}, {name: other, split: validation, weight: 1}]";
constexpr char const* kCurriculum =
    "data.curriculum=[{from_step: 13, weights: {own: 1, other: 2}}]";

/// The last event of a kind.
json last_event(std::string const& run, std::string const& kind) {
    json found;
    for (auto const& line : metric_lines(run))
        if (auto event = json::parse(line); event.at("kind") == kind) found = std::move(event);
    return found;
}

/// Weights and shares of a run of two sources that nothing disturbed.
struct Whole {
    std::string hash;
    json sources;
};
Whole const& whole() {
    static Whole const found = [] {
        FaultyRun run(Settings{kSources, kCurriculum});
        FaultyJob const job = run.job(1, "");
        EXPECT_EQ(job.exit_code, 0) << job.output();
        EXPECT_NE(job.find({"step 40: sources so far: own ", " % of the samples, "}), nullptr)
            << job.output();
        return Whole{final_hash(run.run()),
                     last_event(run.run(), "sources").value("sources", json())};
    }();
    return found;
}

TEST(MixtureRun, HasTheSameWeightsOnAnyNumberOfRanks) {
    ASSERT_EQ(whole().hash.size(), 64U);
    for (int const ranks : {2, 4}) {
        FaultyRun run(Settings{kSources, kCurriculum});
        FaultyJob const job = run.job(ranks, "");
        EXPECT_EQ(job.exit_code, 0) << job.output();
        EXPECT_EQ(final_hash(run.run()), whole().hash) << ranks;
        EXPECT_EQ(last_event(run.run(), "sources").at("sources"), whole().sources) << ranks;
    }
}

TEST(MixtureRun, GoesOnOnOtherRanksToTheSameWeightsAndShares) {
    FaultyRun run(Settings{kSources, kCurriculum});
    FaultyJob const killed = run.job(2, "step/update:0:17:kill");
    ASSERT_TRUE(killed.fired()) << killed.output();
    EXPECT_NE(killed.exit_code, 0);
    FaultyJob const rest = run.job(4, "");
    EXPECT_EQ(rest.exit_code, 0) << rest.output();
    EXPECT_NE(rest.find({"resumed at step"}), nullptr) << rest.output();
    EXPECT_EQ(final_hash(run.run()), whole().hash);
    EXPECT_EQ(last_event(run.run(), "sources").at("sources"), whole().sources);
}

/// The shares are those of the weights: 13 steps of 3 : 1, then 27 of 1 : 2.
TEST(MixtureRun, GivesEachSourceItsShare) {
    auto const& sources = whole().sources;
    ASSERT_EQ(sources.size(), 2U);
    double samples = 0;
    for (auto const& source : sources) samples += source.at("samples").get<double>();
    double const step = samples / 40;
    EXPECT_NEAR(sources[0].at("samples").get<double>(), 13 * step * 0.75 + 27 * step / 3, 1);
    EXPECT_NEAR(sources[0].at("share_of_samples").get<double>(),
                sources[0].at("samples").get<double>() / samples, 1e-12);
    double tokens = 0;
    for (auto const& source : sources) tokens += source.at("share_of_tokens").get<double>();
    EXPECT_NEAR(tokens, 1, 1e-12);
}

/// Checks that another mixture is another run: a resume is refused in one line.
TEST(MixtureRun, IsNotContinuedWithAnotherMixture) {
    FaultyRun run(Settings{});
    ASSERT_TRUE(run.job(1, "step/update:0:9:kill", {kSources}).fired());
    FaultyJob const other = run.job(
        1, "",
        {"data.train=[{name: own, weight: 2}, {name: other, split: validation, weight: 1}]"});
    EXPECT_EQ(other.exit_code, 2) << other.output();
    EXPECT_NE(other.find(
                  {"holds a run of another configuration (data.train: ", "weight: 3", "weight: 2"}),
              nullptr)
        << other.output();
    FaultyJob const single = run.job(1, "");
    EXPECT_EQ(single.exit_code, 2) << single.output();
    FaultyJob const same = run.job(1, "", {kSources});
    EXPECT_EQ(same.exit_code, 0) << same.output();
}

/// A list of one source is the split by another name: every bit is the same.
TEST(MixtureRun, OfOneSourceIsTheRunWithoutAMixture) {
    FaultyRun run(Settings{"data.train=[{name: own}]"});
    FaultyJob const job = run.job(1, "");
    EXPECT_EQ(job.exit_code, 0) << job.output();
    EXPECT_EQ(final_hash(run.run()), unbroken_hash());
}

TEST(MixtureRun, DryRunSaysWhatEachSourceGives) {
    FaultyRun run(Settings{kSources});
    Outcome const shown = run_command(
        trireme(0, {"train", run.folder() + "/run.yaml", "--dry-run", "--set", kSources}));
    EXPECT_EQ(shown.exit_code, 0) << shown.output;
    EXPECT_NE(shown.output.find("  own       75.0 % = "), std::string::npos) << shown.output;
    EXPECT_NE(shown.output.find("  other     25.0 % = "), std::string::npos) << shown.output;
}

TEST(MixtureRun, IsRefusedBeforeItTakesMoreEpochsThanASourceMayGive) {
    FaultyRun run(
        Settings{"data.train=[{name: own, weight: 3}, {name: other, split: validation, weight: "
                 "1, max_epochs: 0.5}]"});
    FaultyJob const job = run.job(1, "");
    EXPECT_EQ(job.exit_code, 2) << job.output();
    EXPECT_NE(job.find({"data.train: other: max_epochs 0.5: 40 steps take ",
                        "legal: a larger max_epochs, a lower weight of it, or fewer steps"}),
              nullptr)
        << job.output();
    EXPECT_TRUE(metric_lines(run.run()).empty());
}

} // namespace
} // namespace trireme::test
