// Tests what a run folder keeps of its model and data: exports from anywhere, tokenizers that must
// be the same, runs that move.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/manifest.hpp"
#include "tests/launch/mistakes.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;

/// A classifier that was trained for two steps on data prepared with its own tokenizer.
class RunSource : public testing::Test {
  protected:
    void SetUp() override {
        write_scene(path(""));
        write("bert/tokenizer_config.json", R"({"pad_token": "[PAD]"})")(path(""));
        write("bert/chat_template.jinja", "{{ messages }}")(path(""));
        write("bert/additional_chat_templates/short.jinja", "{{ messages[0] }}")(path(""));
        ASSERT_EQ(prepare("bert", "own").exit_code, 0);
    }
    std::string path(std::string const& name) const {
        return folder_.path() + (name.empty() ? "/scene" : "/scene/" + name);
    }
    Outcome run(std::vector<std::string> const& arguments) const {
        return run_command(trireme(0, arguments));
    }
    Outcome prepare(std::string const& tokenizer, std::string const& output) const {
        return run({"prepare", "--task", "classification", "--tokenizer", path(tokenizer),
                    "--train", path("rows.jsonl"), "--label", "label", "--max-length", "16",
                    "--output", path(output)});
    }
    Outcome train(std::string const& data, std::vector<std::string> const& more = {}) const {
        std::vector<std::string> all{"train", path("run.yaml"),
                                     "--set", "task=classification",
                                     "--set", "model.path=" + path("bert"),
                                     "--set", "data.path=" + path(data),
                                     "--set", "data.validation=train"};
        all.insert(all.end(), more.begin(), more.end());
        return run(all);
    }
    TemporaryFolder folder_;
};

bool has(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

std::vector<std::string> content(std::string const& folder) {
    return snapshot(folder);
}

TEST_F(RunSource, AnExportNeedsNeitherTheDataNorTheFirstModel) {
    ASSERT_EQ(train("own").exit_code, 0);
    ASSERT_EQ(run({"export", "--run", path("run"), "--output", path("e0")}).exit_code, 0);
    fs::remove_all(path("own"));
    fs::rename(path("bert"), path("elsewhere"));
    fs::rename(path("run"), path("moved"));
    auto const again = run({"export", "--run", path("moved"), "--output", path("e1")});
    ASSERT_EQ(again.exit_code, 0) << again.output;
    EXPECT_EQ(content(path("e0")), content(path("e1")));
    for (auto const* name :
         {"chat_template.jinja", "additional_chat_templates/short.jinja", "tokenizer_config.json"})
        EXPECT_TRUE(fs::exists(path("e0/") + name)) << name;
    auto const config = nlohmann::json::parse(cluster::read_file(path("e0/config.json")));
    EXPECT_EQ(config.at("id2label"), (nlohmann::json{{"0", "no"}, {"1", "yes"}}));
}

TEST_F(RunSource, AMovedRunGoesOnWhereItIs) {
    ASSERT_EQ(train("own").exit_code, 0);
    fs::copy(path("run"), path("moved"), fs::copy_options::recursive);
    auto const refused = run({"train", path("moved/config.yaml")});
    EXPECT_EQ(refused.exit_code, 2) << "which of the two?";
    EXPECT_TRUE(has(refused.output, "--set run=" + path("moved")) &&
                has(refused.output, "--set run=" + path("run")))
        << refused.output;
    fs::remove_all(path("run"));
    auto const went_on = run({"train", path("moved/config.yaml")});
    EXPECT_EQ(went_on.exit_code, 0) << went_on.output;
    EXPECT_TRUE(has(went_on.output, "run folder: " + path("moved"))) << went_on.output;
    EXPECT_FALSE(fs::exists(path("run")));
    EXPECT_TRUE(has(cluster::read_file(path("moved/config.yaml")), "run: " + path("moved")))
        << "its place from now on";
}

TEST_F(RunSource, ARunGoesOnWithTheModelThatItBeganWith) {
    ASSERT_EQ(train("own").exit_code, 0);
    fs::rename(path("bert"), path("elsewhere"));
    change("elsewhere/config.json", "\"model_type\"",
           "\"_name_or_path\": \"x\", \"model_type\"")(path(""));
    EXPECT_EQ(train("own", {"--set", "model.path=" + path("elsewhere")}).exit_code, 0)
        << "folders move";
    change("elsewhere/config.json", "\"hidden_act\": \"gelu\"",
           "\"hidden_act\": \"relu\"")(path(""));
    for (auto const* dry : {"--set=seed=1", "--dry-run"}) {
        auto const refused = train("own", {"--set", "model.path=" + path("elsewhere"), dry});
        EXPECT_EQ(refused.exit_code, 2);
        EXPECT_TRUE(has(refused.output, path("elsewhere") + "/config.json: hidden_act: not as in " +
                                            path("run/source/config.json") +
                                            ", with which the run began"))
            << refused.output;
    }
}

TEST_F(RunSource, DataOfAnotherTokenizerAreRefused) {
    fs::copy(path("bert"), path("other"), fs::copy_options::recursive);
    change("other/tokenizer.json", "\"film\"", "\"movie\"")(path(""));
    ASSERT_EQ(prepare("other", "foreign").exit_code, 0);
    std::string const line =
        path("foreign") + ": prepared with another tokenizer than " + path("bert/tokenizer.json") +
        " (they differ in model.vocab); legal: data that `trireme prepare --tokenizer " +
        path("bert") + "` wrote";
    for (auto const& more : {std::vector<std::string>{}, {"--dry-run"}}) {
        auto const refused = train("foreign", more);
        EXPECT_EQ(refused.exit_code, 2);
        EXPECT_TRUE(has(refused.output, line)) << refused.output;
    }
    auto const evaluated =
        run({"evaluate", "--model", path("bert"), "--data", path("foreign"), "--split", "train"});
    EXPECT_EQ(evaluated.exit_code, 2);
    EXPECT_TRUE(has(evaluated.output, line)) << evaluated.output;
    EXPECT_FALSE(fs::exists(path("run")));
}

/// transformers finds the end of a padded text by the token of config.json, and pads with that of
/// the tokenizer, wherever its files name it.
TEST_F(RunSource, ADecodersClassifierKnowsTheTokenThatItsTokenizerPadsWith) {
    auto const pads_with = [&](nlohmann::json const& token) {
        auto json = nlohmann::json::parse(cluster::read_file(path("llama/config.json")));
        json["pad_token_id"] = token;
        cluster::write_file(path("llama/config.json"), json.dump());
    };
    std::vector<std::string> const decoder{"--set", "model.path=" + path("llama")};
    write("llama/tokenizer_config.json", R"({"pad_token": "[PAD]"})")(path(""));
    auto const prepared = prepare("llama", "padded");
    ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
    pads_with(5);
    auto const refused = train("padded", decoder);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_TRUE(has(refused.output, path("llama/config.json") +
                                        ": pad_token_id: 5: the tokenizer in " + path("padded") +
                                        " pads with 0, and where"))
        << refused.output;
    EXPECT_FALSE(fs::exists(path("run")));
    auto const exported = [&](std::string const& name) {
        auto const trained = train("padded", decoder);
        EXPECT_EQ(trained.exit_code, 0) << trained.output;
        EXPECT_EQ(run({"export", "--run", path("run"), "--output", path(name)}).exit_code, 0);
        fs::remove_all(path("run"));
        return nlohmann::json::parse(cluster::read_file(path(name + "/config.json")))
            .at("pad_token_id");
    };
    pads_with(-1); // as old tools wrote "none"
    EXPECT_EQ(exported("e0"), 0);
    pads_with(nullptr);
    for (auto const* folder : {"padded", "llama"})
        fs::rename(path(folder + std::string("/tokenizer_config.json")),
                   path(folder + std::string("/special_tokens_map.json")));
    EXPECT_EQ(exported("e1"), 0);
}

/// The template of an export is the one file that transformers reads.
TEST_F(RunSource, TheTemplatesOfDataAndModelAreTheSame) {
    write("bert/chat_template.jinja", "{{ other }}")(path(""));
    auto const refused = train("own", {"--dry-run"});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_TRUE(has(refused.output, path("bert/chat_template.jinja") +
                                        ": the template for chats is not that of " +
                                        path("own/chat_template.jinja")))
        << refused.output;
}

TEST_F(RunSource, PaddingAndSpacingMakeNoOtherTokenizer) {
    auto json = nlohmann::json::parse(cluster::read_file(path("bert/tokenizer.json")));
    json["padding"] = nullptr;
    cluster::write_file(path("bert/tokenizer.json"), json.dump(4));
    auto const result = train("own", {"--dry-run"});
    EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST_F(RunSource, ANameOfTheHubIsToldApartFromAFolder) {
    auto const result = run({"train", path("run.yaml"), "--set", "model.path=org/some-model-7B"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_TRUE(has(result.output, "hf download org/some-model-7B --local-dir FOLDER"))
        << result.output;
}

} // namespace
} // namespace trireme::test
