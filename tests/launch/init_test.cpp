// `trireme init` and configs/: what it writes, and every example that we ship, is read by the real
// reader, and trains as it stands.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>

#include "cluster/file.hpp"
#include "framework/config/config.hpp"
#include "launch/starting_point.hpp"
#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

TEST(StartingPoint, IsReadByTheReaderForEveryTaskSizeAndNumberOfSamples) {
    for (auto const& schema : data::task_schemas())
        for (std::int64_t const parameters : {20, 110, 350, 7000})
            for (std::int64_t const samples : {3, 400, 100000}) {
                launch::Beginning b{.task = schema.kind, .ranks = 2};
                b.known_model = {parameters > 400 ? "llama" : "roberta", parameters > 400,
                                 parameters * 1'000'000};
                b.known_data = {samples, samples * 20, 90, samples > 3, {samples - 2, 2}};
                std::string const text = launch::to_yaml(b, launch::starting_point(b));
                auto const config = framework::config::parse_config(text, "made.yaml", {});
                EXPECT_LE(config.batch.global, samples) << text;
                EXPECT_GE(config.batch.tokens_per_micro_batch, 90) << text;
                EXPECT_EQ(config.parallel.zero, parameters > 1000 ? 3 : 0) << text;
                EXPECT_EQ(config.evaluation.metric == "loss",
                          samples == 3 || config.task.ends_with("modeling") ||
                              config.task == "generation")
                    << text;
            }
}

TEST(StartingPoint, GivesEveryValueASource) {
    launch::Beginning const b;
    for (auto const& setting : launch::starting_point(b))
        EXPECT_FALSE(setting.source.empty()) << setting.key;
    auto const config =
        framework::config::parse_config(launch::to_yaml(b, launch::starting_point(b)), "x", {});
    EXPECT_EQ(config.optimizer.learning_rate, 3e-5); // Devlin et al. 2019, appendix A.3
    EXPECT_EQ(config.batch.global, 32);
    EXPECT_EQ(config.train.epochs, 3);
}

TEST(StartingPoint, TrainsFewSamplesLonger) {
    launch::Beginning b;
    b.known_data = {400, 8000, 60, true, {}};
    auto const config =
        framework::config::parse_config(launch::to_yaml(b, launch::starting_point(b)), "x", {});
    EXPECT_EQ(config.batch.global, 16);
    EXPECT_EQ(config.train.epochs, 8); // 25 updates an epoch, and 200 wanted
    EXPECT_EQ(config.evaluation.patience, 3);
}

class Init : public Scene {};

/// The number of parameters that the first comment of a configuration states, in millions.
std::string millions_in_file(std::string const& file) {
    std::string text = cluster::read_file(file);
    text = std::regex_replace(text, std::regex("\n# "), " ");
    std::smatch found;
    std::regex_search(text, found, std::regex("([0-9.e+-]+) M parameters"));
    return found.str(1);
}
/// The one that a dry run prints, in the same form.
std::string millions_in_dry_run(std::string const& output) {
    std::smatch found;
    std::regex_search(output, found, std::regex("model +([0-9,]+) parameters"));
    std::string const number = std::regex_replace(found.str(1), std::regex(","), "");
    return number.empty() ? "none" : fmt::format("{:.3g}", std::stod(number) * 1e-6);
}

TEST_F(Init, WritesWhatTrainsAsItStandsAndReplacesNothing) {
    for (auto const& [task, model, data] : {std::tuple{"language-modeling", "llama", "data"},
                                            {"classification", "bert", "classes"}}) {
        std::vector<std::string> const init{"init",     task,
                                            "--model",  std::string("DIR/") + model,
                                            "--data",   std::string("DIR/") + data,
                                            "--run",    "DIR/new-run",
                                            "--output", "DIR/first.yaml"};
        Outcome const made = run(init);
        ASSERT_EQ(made.exit_code, 0) << made.output;
        Outcome const dry = run({"train", "DIR/first.yaml", "--dry-run"});
        EXPECT_EQ(dry.exit_code, 0) << dry.output;
        EXPECT_EQ(millions_in_file(dir() + "/first.yaml"), millions_in_dry_run(dry.output));
        Outcome const again = run(init);
        EXPECT_EQ(again.exit_code, 2);
        EXPECT_TRUE(again.output.starts_with("trireme: --output: DIR/first.yaml: "))
            << again.output;
        fs::remove(dir() + "/first.yaml");
    }
}

TEST_F(Init, RefusesDataOfAnotherTaskAndModelsWithoutTheHead) {
    Outcome const other = run({"init", "regression", "--data", "DIR/classes"});
    EXPECT_EQ(other.exit_code, 2);
    EXPECT_EQ(other.output, "trireme: TASK: regression: legal: classification, for which the data "
                            "in DIR/classes were prepared\n");
    Outcome const head = run({"init", "language-modeling", "--model", "DIR/bert", "--data",
                              "DIR/data", "--output", "DIR/out.yaml"});
    EXPECT_EQ(head.exit_code, 2);
    EXPECT_FALSE(fs::exists(dir() + "/out.yaml"));
    EXPECT_TRUE(head.output.starts_with("trireme: task: language-modeling: DIR/bert is a bert "
                                        "encoder; legal: "))
        << head.output;
}

/// The examples are what `trireme init` writes without a model and data, so that they stay right.
TEST(Configs, AreWhatInitWrites) {
    for (auto const& schema : data::task_schemas()) {
        if (schema.kind == data::TaskKind::classification) continue; // film-reviews.yaml
        launch::Beginning const b{.task = schema.kind, .run = std::string("runs/") + schema.name};
        EXPECT_EQ(cluster::read_file(fmt::format(TRIREME_CONFIGS "/{}.yaml", schema.name)),
                  launch::to_yaml(b, launch::starting_point(b)));
    }
    launch::Beginning const chat{
        .task = data::TaskKind::generation, .called = "chat", .run = "runs/chat"};
    EXPECT_EQ(cluster::read_file(TRIREME_CONFIGS "/chat.yaml"),
              launch::to_yaml(chat, launch::starting_point(chat)));
}

TEST_F(Init, ExamplesOfConfigsTrainOnTinyModels) {
    for (auto const& [file, model, data] :
         {std::tuple{"language-modeling", "llama", "data"}, {"film-reviews", "bert", "classes"}}) {
        std::string const config = fmt::format(TRIREME_CONFIGS "/{}.yaml", file);
        Outcome const dry = run({"train", config, "--dry-run", "--set", "run=DIR/new", "--set",
                                 "batch.global=8", "--set", fmt::format("model.path=DIR/{}", model),
                                 "--set", fmt::format("data.path=DIR/{}", data)});
        EXPECT_EQ(dry.exit_code, 0) << dry.output;
    }
}

TEST(Configs, AreReadByTheReaderAndOneIsThereForEachTask) {
    std::set<std::string> tasks;
    for (auto const& entry : fs::directory_iterator(TRIREME_CONFIGS)) {
        if (!entry.is_regular_file()) continue;
        auto const config = framework::config::read_config(entry.path().string(), {});
        tasks.insert(config.task);
    }
    for (auto const& schema : data::task_schemas())
        EXPECT_TRUE(tasks.contains(schema.name)) << schema.name;
}

} // namespace
} // namespace trireme::test
