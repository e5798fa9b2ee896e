// The commands as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

TEST(Train, StopsEarlyWhenPatienceRunsOutAndExportsTheBest) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path()), run = folder.path() + "/run";
    // A rate at which the loss falls at first and rises soon.
    Outcome const result = run_command(trireme(
        2, {"train", yaml, "--set", "optimizer.learning_rate=0.2", "--set", "evaluation.every=2",
            "--set", "evaluation.patience=2", "--set", "optimizer.schedule=constant", "--set",
            "checkpoint.keep_last=1"})); // the best one stays all the same
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
    std::string const said = cluster::read_file(run + "/log.txt"),
                      why = "evaluations in a row without a better loss than";
    EXPECT_NE(said.find(why), std::string::npos) << said;
    Outcome const status = run_command(trireme(0, {"status", run}));
    EXPECT_NE(status.output.find(why), std::string::npos) << status.output;
    Outcome const exported =
        run_command(trireme(0, {"export", "--run", run, "--output", folder.path() + "/out"}));
    EXPECT_NE(exported.output.find("exported step-00000000" + std::to_string(best.second)),
              std::string::npos)
        << exported.output;
}

TEST(Train, AFinishedRunGoesOnWhenItIsGivenMoreSteps) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path()), run = folder.path() + "/run";
    auto const train = [&](std::string const& steps) {
        return run_command(trireme(0, {"train", yaml, "--set", "train.steps=" + steps}));
    };
    ASSERT_EQ(train("4").exit_code, 0);
    Outcome const over = train("4"), on = train("6");
    EXPECT_NE(over.output.find("raise train.epochs or train.steps to go on"), std::string::npos)
        << over.output;
    ASSERT_EQ(on.exit_code, 0) << on.output;
    EXPECT_NE(on.output.find("the finished run goes on"), std::string::npos) << on.output;
    EXPECT_NE(on.output.find("done: 6 steps"), std::string::npos) << on.output;
    std::vector<std::int64_t> steps;
    for (auto const& line : metric_lines(run))
        if (auto const event = nlohmann::json::parse(line); event["kind"] == "train")
            steps.push_back(event["step"]);
    EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST(Train, ARunThatFailsSaysSoInItsLogAndItsStatus) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path()), run = folder.path() + "/run";
    Outcome const failed = run_command(trireme(
        0, {"train", yaml, "--set", "optimizer.learning_rate=1e30", "--set", "optimizer.clip=0"}));
    ASSERT_EQ(failed.exit_code, 1) << failed.output;
    Outcome const status = run_command(trireme(0, {"status", run}));
    for (std::string const& text : {status.output, cluster::read_file(run + "/log.txt")})
        EXPECT_NE(text.find("not finite; no update was made"), std::string::npos) << text;
    EXPECT_NE(status.output.find("state:       failed\n"), std::string::npos) << status.output;
    EXPECT_EQ(status.output.find("no last word"), std::string::npos) << status.output;
}

TEST(Train, WithoutAValidationSplitNothingIsEvaluated) {
    TemporaryFolder const folder;
    std::string const yaml = write_tiny_run(folder.path()), run = folder.path() + "/run",
                      data = folder.path() + "/data";
    data::Manifest manifest = data::read_manifest(data);
    manifest.splits.erase("validation");
    data::write_manifest(data, manifest);
    Outcome const refused = run_command(
        trireme(0, {"train", yaml, "--set", "train.steps=2", "--set", "evaluation.patience=2"}));
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_EQ(refused.output,
              "trireme: evaluation.patience: 2: " + data +
                  " has no split \"validation\" to evaluate; legal: 0, or data.validation: one of "
                  "train, or data prepared with --validation or --validation-fraction\n");
    Outcome const dry = run_command(trireme(0, {"train", yaml, "--dry-run"}));
    EXPECT_NE(dry.output.find("validation  none"), std::string::npos) << dry.output;
    Outcome const trained = run_command(trireme(0, {"train", yaml, "--set", "train.steps=2"}));
    ASSERT_EQ(trained.exit_code, 0) << trained.output;
    EXPECT_NE(trained.output.find("nothing is evaluated"), std::string::npos) << trained.output;
    Outcome const exported =
        run_command(trireme(0, {"export", "--run", run, "--output", folder.path() + "/out"}));
    EXPECT_NE(exported.output.find("exported step-000000002"), std::string::npos)
        << exported.output;
}

TEST(Train, RefusesTasksOfSlurmThatMpiDoesNotSee) {
    TemporaryFolder const folder;
    std::vector<std::string> command{"env", "SLURM_NTASKS=4", "SLURM_PROCID=2"};
    for (auto const& word : trireme(0, {"train", write_tiny_run(folder.path())}))
        command.push_back(word);
    Outcome const result = run_command(command);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.output.find("SLURM_NTASKS is 4 but MPI sees a world of 1 on task 2"),
              std::string::npos)
        << result.output;
}

/// Open MPI keeps its sockets there if there is no launcher, and reports a failure in forty lines.
TEST(Train, AFolderForTemporaryFilesThatIsNoneIsNamed) {
    auto command = trireme(0, {"doctor"});
    command.insert(command.begin(), {"env", "TMPDIR=/dev/null"});
    auto const result = run_command(command);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.output, "trireme: TMPDIR: /dev/null: /dev/null is not a folder; legal: a "
                             "folder, or one to make\n");
}

/// Processes that came alone all have one name for Open MPI, and would remove each other's folders.
TEST(Train, AProcessThatCameAloneSharesNoFolderOfOpenMpi) {
    TemporaryFolder const run;
    TemporaryFolder const session;
    auto command = trireme(0, {"doctor", "--run", run.path()});
    // Takes out what only tests set, so that the program itself has to tell Open MPI that it came
    // alone, as it does for a user.
    command.insert(command.begin(), {"env", "-u", "OMPI_MCA_pml", "TMPDIR=" + session.path()});
    auto const result = run_command(command);
    EXPECT_NE(result.output.find("MPI"), std::string::npos) << result.output;
    EXPECT_TRUE(std::filesystem::is_empty(session.path()));
}

TEST(Train, HasNoPythonInIt) {
    Outcome const libraries = run_command({"ldd", trireme(0, {})[0] + "-model"});
    ASSERT_NE(libraries.output.find("libtorch_cpu"), std::string::npos);
    EXPECT_EQ(libraries.output.find("libpython"), std::string::npos);
}

/// Half a second of a processor, each time that a command starts.
TEST(Command, LoadsNoTensors) {
    Outcome const libraries = run_command({"ldd", trireme(0, {})[0]});
    ASSERT_NE(libraries.output.find("libfmt"), std::string::npos) << libraries.output;
    for (char const* other : {"libtorch", "libc10", "libpython"})
        EXPECT_EQ(libraries.output.find(other), std::string::npos) << libraries.output;
}

/// Both programs, so that each of the commands that need tensors is found where it is.
TEST(Command, IsWholeInTheProgramWithTensors) {
    std::string const own = trireme(0, {})[0];
    EXPECT_EQ(run_command({own + "-model", "--help"}).output, run_command({own, "--help"}).output);
    for (char const* command : {"train", "verify", "submit", "status"}) {
        Outcome const beside = run_command({own + "-model", command, "--help"});
        EXPECT_EQ(beside.exit_code, 0) << beside.output;
        EXPECT_EQ(run_command({own, command, "--help"}).output, beside.output);
    }
    Outcome const two =
        run_command({"mpirun", "-n", "2", "--oversubscribe", own, "init", "--help"});
    EXPECT_EQ(two.output.find("note:"), two.output.rfind("note:")) << two.output;
}

} // namespace
} // namespace trireme::test
