// Trains on a GPU if there is one: whole runs of `trireme train` end as those on the CPU, within
// what the order of sums and the dtype change. One GPU is enough for two ranks
// (parallel.share_gpus).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using Settings = std::vector<std::string>;

/// Validation loss at the end of a run of 20 steps.
double train(int ranks, std::string const& name, Settings settings) {
    std::string const folder = testing::TempDir() + "gpu-train-" + name;
    if (std::system(("rm -rf '" + folder + "' && mkdir -p '" + folder + "'").c_str()) != 0)
        ADD_FAILURE() << folder;
    std::vector<std::string> arguments{"train", write_tiny_run(folder)};
    for (auto const* common : {"train.steps=20", "checkpoint.every=10"})
        settings.emplace_back(common);
    for (auto const& setting : settings) arguments.insert(arguments.end(), {"--set", setting});
    Outcome const outcome = run_command(trireme(ranks, arguments));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    double loss = -1;
    for (auto const& line : metric_lines(folder + "/run"))
        if (auto const event = nlohmann::json::parse(line); event.value("kind", "") == "evaluation")
            loss = event.at("loss");
    return loss;
}

struct Case {
    std::string name;
    int ranks;
    Settings settings;
    double bound;
};

class GpuTrain : public testing::TestWithParam<Case> {};

TEST_P(GpuTrain, EndsAsOnTheCpu) {
    auto const& c = GetParam();
    Settings there = c.settings;
    for (auto const* gpu : {"parallel.device=cuda", "parallel.share_gpus=true"})
        there.emplace_back(gpu);
    EXPECT_NEAR(train(c.ranks, c.name, there), train(c.ranks, c.name + "-cpu", c.settings),
                c.bound);
}

INSTANTIATE_TEST_SUITE_P(
    Runs, GpuTrain,
    testing::Values(
        Case{"fp64", 1, {"numerics.compute=fp64"}, 1e-9}, Case{"fp32", 1, {}, 1e-3},
        Case{"bf16", 1, {"numerics.compute=bf16"}, 3e-2},
        Case{"flash", 1, {"numerics.compute=bf16", "model.attention_dropout=0"}, 3e-2},
        Case{"offload", 1, {"parallel.offload=optimizer"}, 1e-3},
        Case{"zero3", 2, {"parallel.zero=3", "parallel.recompute=full"}, 1e-3},
        Case{"tensor", 2, {"parallel.tensor=2", "numerics.mode=fast"}, 1e-3},
        Case{"pipeline", 2, {"parallel.pipeline=2", "parallel.schedule=zero-bubble"}, 1e-3}),
    [](auto const& c) { return c.param.name; });

/// Bitwise mode gives the same bits twice, and on two ranks.
TEST(GpuTrain, BitwiseModeHolds) {
    auto const hash = [](int ranks, std::string const& name) {
        train(ranks, name, {"parallel.device=cuda", "parallel.share_gpus=true"});
        return final_hash(testing::TempDir() + "gpu-train-" + name + "/run");
    };
    std::string const once = hash(1, "once");
    EXPECT_FALSE(once.empty());
    EXPECT_EQ(hash(1, "twice"), once);
    EXPECT_EQ(hash(2, "two"), once);
}

} // namespace
} // namespace trireme::test
