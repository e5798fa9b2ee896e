// A check that cries wolf is switched off: runs without a mistake raise no alarm, whatever the
// seed.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "framework/parity/certificate.hpp"
#include "tests/parity/golden_problem.hpp"

namespace trireme::test {
namespace {

using namespace framework::parity;

std::vector<Layout> nine_layouts(std::string const& folder) {
    std::vector<Layout> layouts;
    auto const all = golden_layouts(folder, 4);
    for (int const ranks : {1, 2, 4}) {
        auto const some = covering_of_world(all, ranks);
        layouts.insert(layouts.end(), some.begin(), some.begin() + 3);
    }
    return layouts;
}

TEST(Clean, AHundredSeedsRaiseNoAlarm) {
    char const* const folders[] = {"bert", "gpt2", "llama", "qwen2"};
    int alarms = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        auto const mode = seed % 2 ? framework::parallelize::NumericsMode::fast
                                   : framework::parallelize::NumericsMode::bitwise;
        auto const problem =
            golden_problem(folders[seed % 4], mode, framework::parallelize::Compute::fp32, seed);
        auto const report = check(problem, nine_layouts(folders[seed % 4]), run_as_threads());
        alarms += !report.passed();
        EXPECT_TRUE(report.passed())
            << "seed " << seed << " " << folders[seed % 4] << ": " << summary_of(report);
    }
    EXPECT_EQ(alarms, 0);
}

/// The last step of docs/extending.md for each family and each head: what `trireme parity` runs by
/// default for it, up to four ranks.
TEST(Clean, EveryGoldenModelPasses) {
    int models = 0;
    for (auto const& entry : std::filesystem::directory_iterator(TRIREME_GOLDEN)) {
        if (!std::filesystem::exists(entry.path() / "config.json")) continue; // no model
        std::string const folder = entry.path().filename();
        auto const problem = golden_problem(folder, framework::parallelize::NumericsMode::fast,
                                            framework::parallelize::Compute::fp32);
        auto const report = check(problem, covering(golden_layouts(folder, 4)), run_as_threads());
        EXPECT_TRUE(report.passed()) << folder << ": " << summary_of(report);
        ++models;
    }
    EXPECT_GE(models, 65);
}

/// Sums over tensor ranks are rounded to bf16: every layout that the command runs by default.
TEST(Clean, BFloat16InEveryFamily) {
    for (char const* folder : {"bert", "gpt2", "llama", "llama3", "mistral", "qwen2", "qwen3"}) {
        auto const problem = golden_problem(folder, framework::parallelize::NumericsMode::fast,
                                            framework::parallelize::Compute::bf16);
        auto const report = check(problem, covering(golden_layouts(folder, 8)), run_as_threads());
        EXPECT_TRUE(report.passed()) << folder << ": " << summary_of(report);
        EXPECT_GT(report.layouts.size(), 80U);
    }
}

/// Sizes of the tensor axis alone, over which all of the rounding of bf16 differs: the factors by
/// which gradients are off stay well within their bounds.
TEST(Clean, FactorsOfTensorRanksInBFloat16) {
    for (char const* folder : {"bert", "gpt2", "llama", "llama3", "mistral", "qwen2", "qwen3"}) {
        std::vector<Layout> layouts;
        for (auto const& l : golden_layouts(folder, 8)) {
            auto const& p = l.parallel;
            if (p.tensor > 1 && p.tensor == l.ranks() && p.zero == 0 &&
                p.recompute == framework::parallelize::Recompute::none &&
                p.offload == framework::parallelize::Offload::none)
                layouts.push_back(l);
        }
        for (std::uint64_t seed = 11; seed <= 12; ++seed) {
            auto const problem = golden_problem(folder, framework::parallelize::NumericsMode::fast,
                                                framework::parallelize::Compute::bf16, seed);
            std::map<std::int64_t, Trace> single;
            for (auto const tokens : packings()) single[tokens] = single_trace(problem, tokens);
            for (auto const& l : layouts)
                for (auto const& f : figures_along(run_as_threads()(problem, l),
                                                   single.at(l.tokens_per_micro_batch)))
                    EXPECT_LT(f.share(), 0.7) << folder << " " << seed << " " << name_of(l) << ": "
                                              << f.what << " " << f.parameter << " " << f.error;
        }
    }
}

} // namespace
} // namespace trireme::test
