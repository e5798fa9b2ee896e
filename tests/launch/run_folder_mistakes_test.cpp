// Run folders that are another run's or damaged, and one line out of several ranks.
#include <filesystem>

#include "cluster/file.hpp"
#include "tests/launch/mistakes.hpp"
#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

TEST_F(Scene, ARunFolderOfAnotherConfigurationIsLeftAsItIs) {
    ASSERT_EQ(run(train()).exit_code, 0);
    auto const before = snapshot(dir());
    Outcome const outcome = run(train({"seed=5"}));
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.output, "trireme: DIR/run: the run folder holds a run of another "
                              "configuration (seed: 1 -> 5); choose another "
                              "`run`, or give back the old values (its configuration is in "
                              "DIR/run/config.yaml); to train on from its "
                              "weights in another `run`: model.path: a folder that `trireme export "
                              "--run DIR/run` made\n");
    Outcome const wrong =
        run({"export", "--run", "DIR/run", "--checkpoint", "step-9", "--output", "DIR/out"});
    EXPECT_EQ(wrong.exit_code, 2);
    EXPECT_EQ(wrong.output, "trireme: --checkpoint: step-9: legal: best, latest, step-000000002; "
                            "all in DIR/run/checkpoints\n");
    EXPECT_EQ(snapshot(dir()), before);
}

TEST_F(Scene, ADamagedCheckpointIsNamedAndNothingBeginsAgain) {
    ASSERT_EQ(run(train()).exit_code, 0);
    std::string const file = dir() + "/run/checkpoints/step-000000002/rank-00000.h5";
    auto const bytes = std::to_string(fs::file_size(file));
    fs::resize_file(file, 100);
    auto const before = snapshot(dir());
    Outcome const outcome = run(train());
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.output,
              "trireme: DIR/run/checkpoints: none of its checkpoints can be used (the newest: "
              "DIR/run/checkpoints/step-000000002/rank-00000.h5: 100 bytes, the manifest says " +
                  bytes + "); mend or remove the folder, or choose another `run`\n");
    EXPECT_EQ(snapshot(dir()), before);
}

TEST_F(Scene, ADamagedCheckpointHasAWayOn) {
    ASSERT_EQ(
        run(train({"train.steps=4", "checkpoint.every=1", "checkpoint.keep_last=4"})).exit_code, 0);
    std::string const folder = dir() + "/run/checkpoints/", newest = "step-000000004",
                      older = "step-000000003";
    fs::resize_file(folder + "step-000000002/rank-00000.h5", 100);
    std::string const file = folder + newest + "/rank-00000.h5";
    std::string bytes = cluster::read_file(file);
    bytes[bytes.size() / 2] ^= 1;
    cluster::write_file(file, bytes);
    auto const refused = [&](char const* which) {
        Outcome const outcome =
            run({"export", "--run", "DIR/run", "--output", "DIR/out", "--checkpoint", which});
        EXPECT_EQ(outcome.exit_code, 2);
        EXPECT_TRUE(outcome.output.ends_with(
            "; legal: --checkpoint step-000000003, step-000000001, which are "
            "sound\n"))
            << outcome.output;
        EXPECT_FALSE(fs::exists(dir() + "/out"));
    };
    refused("latest");
    refused("step-000000002");
    cluster::write_file(folder + newest + "/manifest.json", "{");
    refused("best");
    Outcome const on =
        run({"export", "--run", "DIR/run", "--output", "DIR/out", "--checkpoint", older});
    EXPECT_EQ(on.exit_code, 0) << on.output;
}

TEST_F(Scene, TheConfigurationInTheFolderIsThatOfTheRunAsItGoesOn) {
    ASSERT_EQ(run(train({"train.steps=2"})).exit_code, 0);
    EXPECT_NE(cluster::read_file(dir() + "/run/config.yaml").find("steps: 2\n"), std::string::npos);
    Outcome const on = run(train({"train.steps=3"}));
    ASSERT_EQ(on.exit_code, 0) << on.output;
    EXPECT_NE(on.output.find("DIR/run/config.yaml: train.steps: 2 -> 3\n"), std::string::npos)
        << on.output;
    EXPECT_NE(cluster::read_file(dir() + "/run/config.yaml").find("steps: 3\n"), std::string::npos);
    EXPECT_NE(cluster::read_file(dir() + "/run/log.txt").find("train.steps: 2 -> 3\n"),
              std::string::npos);
}

/// mpirun adds a banner of its own; our line comes before it, and once.
TEST_F(Scene, OfSeveralRanksOneSpeaks) {
    header([](nlohmann::ordered_json& h) { h["model.norm.weight"]["shape"] = {4, 6}; })(dir());
    auto const before = snapshot(dir());
    for (auto const& [arguments, line] :
         std::vector<std::pair<std::vector<std::string>, std::string>>{
             {{"trian"},
              "trian: no such command; did you mean train? legal: audit, prepare, inspect, "
              "init, doctor, explain-config, calibrate, plan, step-cost, parity, "
              "train, "
              "submit, study, sweep, status, checkpoint, replay, diverge, profile, plot, log, "
              "evaluate, predict, attribute, report, compare, dynamics, bias, memorization, "
              "generate, "
              "export, "
              "verify, completion, "
              "help"},
             {train({"seed=x"}), "--set: seed: x: legal: a whole number >= 0"},
             {train({"parallel.replicate=3"}),
              "parallel: pipeline 1 x replicate 3 x shard 1 x context 1 x tensor 1 = "
              "3, but this job has 2 ranks; legal: replicate 2, or 3 ranks"},
             {train(), "DIR/llama/model.safetensors: model.norm.weight: shape [4, 6]: legal: [24], "
                       "as config.json says"},
             {{"evaluate", "--model", "DIR/bert", "--data", "DIR/nowhere"},
              "DIR/nowhere/manifest.json: no such file; legal: a folder that `trireme prepare` "
              "wrote"}}) {
        Outcome const outcome = run(arguments, 2);
        EXPECT_EQ(outcome.exit_code, 2);
        std::string const first = outcome.output.substr(0, outcome.output.find('\n'));
        // rank 0@HOST: before the line, once MPI runs.
        EXPECT_TRUE(first == "trireme: " + line ||
                    (first.starts_with("trireme: rank 0@") && first.ends_with(": " + line)))
            << outcome.output;
        EXPECT_EQ(outcome.output.find("trireme: ", 1), std::string::npos) << outcome.output;
        EXPECT_EQ(snapshot(dir()), before);
    }
}

} // namespace
} // namespace trireme::test
