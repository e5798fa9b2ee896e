// The commands as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

TEST(Train, StopsEarlyWhenPatienceRunsOutAndExportsTheBest) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path()), run = folder.path() + "/run";
    // A rate at which the loss falls at first and rises soon.
    Outcome const result =
        run_command(trireme(2, {"train", yaml, "--set", "optimizer.learning_rate=0.2", "--set", "evaluation.every=2",
                                "--set", "evaluation.patience=2", "--set", "optimizer.schedule=constant"}));
    ASSERT_EQ(result.exit_code, 0) << result.output;
    std::vector<std::pair<double, std::int64_t>> losses;
    std::int64_t last = 0;
    for (auto const& line : metric_lines(run)) {
        auto const event = nlohmann::json::parse(line);
        if (event["kind"] == "evaluation") losses.push_back({event["loss"], event["step"]});
        if (event["kind"] == "train") last = event["step"];
    }
    ASSERT_GE(losses.size(), 3U);
    auto const best = std::ranges::min(losses);
    EXPECT_LT(last, 40) << "it ran to the end";
    EXPECT_EQ(last, best.second + 4) << "two evaluations without improvement, two steps apart";
    Outcome const exported = run_command(trireme(0, {"export", "--run", run, "--output", folder.path() + "/out"}));
    EXPECT_NE(exported.output.find("exported step-00000000" + std::to_string(best.second)), std::string::npos)
        << exported.output;
}

TEST(Train, RefusesTasksOfSlurmThatMpiDoesNotSee) {
    TemporaryFolder const folder;
    std::vector<std::string> command{"env", "SLURM_NTASKS=4", "SLURM_PROCID=2"};
    for (auto const& word : trireme(0, {"train", write_tiny_run(folder.path())})) command.push_back(word);
    Outcome const result = run_command(command);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.output.find("SLURM_NTASKS is 4 but MPI sees a world of 1 on task 2"), std::string::npos)
        << result.output;
}

TEST(Train, HasNoPythonInIt) {
    Outcome const libraries = run_command({"ldd", trireme(0, {})[0]});
    ASSERT_NE(libraries.output.find("libtorch_cpu"), std::string::npos);
    EXPECT_EQ(libraries.output.find("libpython"), std::string::npos);
}

} // namespace
} // namespace trireme::test
