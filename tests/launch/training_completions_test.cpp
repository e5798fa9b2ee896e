// Completions of validation prompts while a run trains: transformers' own on the golden models, the
// same in every layout, and what `trireme generate` says of the export.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "tests/launch/generation_scene.hpp"
#include "tests/launch/json_lines.hpp"

namespace trireme::test {
namespace {

using Json = nlohmann::json;

/// The events of kind "evaluation" of a run.
std::vector<Json> evaluations_of(std::string const& run) {
    std::vector<Json> found;
    for (auto const& line : metric_lines(run))
        if (Json event = Json::parse(line); event.at("kind") == "evaluation")
            found.push_back(std::move(event));
    return found;
}

std::string words_of(Json const& tokens) {
    std::string text;
    for (auto const& token : tokens)
        text += (text.empty() ? "w" : " w") + std::to_string(token.get<int>());
    return text;
}

/// A tokenizer in which token 7 is the word w7.
Json tokenizer_of_words(int words) {
    Json vocabulary = Json::object();
    for (int i = 0; i < words; ++i) vocabulary["w" + std::to_string(i)] = i;
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", Json::array()},
            {"normalizer", nullptr},
            {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
            {"decoder", nullptr},
            {"post_processor", nullptr},
            {"model", {{"type", "WordLevel"}, {"unk_token", "w0"}, {"vocab", vocabulary}}}};
}

class Completions : public Generation {
  protected:
    /// Writes the golden model NAME with a tokenizer of its words, and data whose completions are
    /// those of transformers up to the stop token w1.
    void write_golden(std::string const& name) {
        std::string const source = std::string(TRIREME_GOLDEN) + "/" + name;
        fs::remove_all(path("model"));
        fs::create_directories(path("model"));
        for (char const* file : {"/config.json", "/model.safetensors"})
            fs::copy_file(source + file, path("model") + file);
        Json const config = Json::parse(cluster::read_file(source + "/config.json"));
        write("model/tokenizer.json", tokenizer_of_words(config.at("vocab_size")).dump());
        write("model/tokenizer_config.json", R"({"eos_token": "w1"})");
        golden_ = Json::parse(cluster::read_file(source + "/generation.json"));
        rows_.clear();
        for (std::size_t i = 0; i < golden_.at("prompts").size(); ++i) {
            Json answer = Json::array();
            for (auto const& token : golden_["greedy"][i]) {
                if (token == 1) break;
                answer.push_back(token);
            }
            rows_ +=
                Json{{"q", words_of(golden_["prompts"][i])}, {"a", words_of(answer)}}.dump() + "\n";
        }
        write("rows.jsonl", rows_);
        write("validation.jsonl", rows_);
        fs::remove_all(path("data"));
        Outcome const prepared =
            prepare({path("rows.jsonl"), "--validation", path("validation.jsonl"), "--stop", "w1"});
        ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
    }
    /// Trains as `more` says on a new run folder.
    Outcome train(std::vector<std::string> const& more, int ranks = 0) {
        fs::remove_all(path("run"));
        std::string const yaml =
            write("run.yaml",
                  "run: " + path("run") + "\ntask: generation\nmodel:\n  path: " + path("model") +
                      "\ndata:\n  path: " + path("data") +
                      "\nbatch:\n  global: 8\n  tokens_per_micro_batch: 64\nnumerics:\n  "
                      "mode: bitwise\n  threads: 1\noptimizer:\n  weight_decay: 0\n");
        std::vector<std::string> all{"train", yaml};
        for (auto const& set : more) all.insert(all.end(), {"--set", set});
        return run_command(trireme(ranks, all));
    }
    std::string completions() const { return cluster::read_file(path("run/completions.jsonl")); }

    Json golden_;
    std::string rows_;
};

TEST_F(Completions, AreThoseOfTransformers) {
    for (char const* name : {"llama", "gpt2"}) {
        ASSERT_NO_FATAL_FAILURE(write_golden(name));
        std::vector<std::string> const set{"optimizer.learning_rate=1e-30", "train.steps=1",
                                           "evaluation.generate=20", "evaluation.max_new_tokens=8"};
        Outcome const trained = train(set);
        ASSERT_EQ(trained.exit_code, 0) << trained.output;
        auto const wanted = lines_of(rows_), made = lines_of(completions());
        ASSERT_EQ(made.size(), wanted.size());
        for (std::size_t i = 0; i < made.size(); ++i) {
            EXPECT_EQ(made[i]["prompt"], wanted[i]["q"]);
            EXPECT_EQ(made[i]["completion"], wanted[i]["a"]) << name << " " << i;
            EXPECT_EQ(made[i]["reference"], wanted[i]["a"]);
        }
        auto const evaluation = evaluations_of(path("run")).at(0);
        EXPECT_EQ(evaluation.at("exact_match"), 1.0);
        EXPECT_EQ(evaluation.at("rouge_l"), 1.0);
    }
}

TEST_F(Completions, AreTheSameInEveryLayoutAndThoseOfTheExport) {
    ASSERT_NO_FATAL_FAILURE(write_golden("llama"));
    std::vector<std::string> const set{
        "optimizer.learning_rate=3e-2", "train.steps=12",
        "evaluation.every=4",           "evaluation.generate=20",
        "evaluation.metric=rouge_l",    "evaluation.max_new_tokens=8",
        "checkpoint.keep_last=9"};
    Outcome const alone = train(set);
    ASSERT_EQ(alone.exit_code, 0) << alone.output;
    std::string const lines = completions();
    auto const found = evaluations_of(path("run"));
    ASSERT_EQ(found.size(), 3U);
    EXPECT_LT(found.back().at("exact_match").get<double>(), 1.0)
        << "trained away from transformers";
    EXPECT_GT(found.back().at("rouge_l").get<double>(), 0.0);
    EXPECT_NE(alone.output.find("exact_match"), std::string::npos) << alone.output;
    EXPECT_NE(alone.output.find("(best rouge_l so far)"), std::string::npos) << alone.output;

    ASSERT_EQ(run_command(trireme(0, {"export", "--run", path("run"), "--output", path("out"),
                                      "--checkpoint", "latest"}))
                  .exit_code,
              0);
    Outcome const generated = run_command(
        trireme(0, {"generate", path("out"), "--prompts", path("rows.jsonl"), "--prompt-column",
                    "q", "--completion-column", "a", "--max-new-tokens", "8", "--threads", "1",
                    "--output", path("made.jsonl")}));
    ASSERT_EQ(generated.exit_code, 0) << generated.output;
    Json const summary = lines_of(generated.output).at(0);
    EXPECT_EQ(summary.at("exact_match"), found.back().at("exact_match"));
    EXPECT_EQ(summary.at("rouge_l"), found.back().at("rouge_l"));
    auto const made = lines_of(cluster::read_file(path("made.jsonl"))), told = lines_of(lines);
    ASSERT_EQ(told.size(), 60U);
    for (std::size_t i = 0; i < 20; ++i)
        EXPECT_EQ(told[40 + i]["completion"], made.at(i)["completion"]) << i;

    struct Layout {
        int ranks;
        std::vector<std::string> set;
    };
    for (auto const& [ranks, layout] :
         {Layout{2, {}}, Layout{2, {"parallel.zero=3"}}, Layout{2, {"parallel.pipeline=2"}},
          Layout{4, {"parallel.pipeline=2", "parallel.zero=3"}}, Layout{3, {"parallel.zero=1"}}}) {
        auto all = set;
        all.insert(all.end(), layout.begin(), layout.end());
        Outcome const laid = train(all, ranks);
        ASSERT_EQ(laid.exit_code, 0) << laid.output;
        EXPECT_EQ(completions(), lines) << ranks << " ranks";
        auto const there = evaluations_of(path("run"));
        for (std::size_t i = 0; i < found.size(); ++i)
            for (char const* metric : {"exact_match", "rouge_l", "loss"})
                EXPECT_EQ(there.at(i).at(metric), found[i].at(metric)) << ranks << " ranks";
    }
}

TEST_F(Completions, AreRefusedInOneLineWhereThereAreNone) {
    ASSERT_NO_FATAL_FAILURE(write_golden("llama"));
    auto const refused = [&](std::vector<std::string> const& set, std::string const& part) {
        expect_refused(train(set), part);
    };
    refused({"evaluation.generate=21"}, "evaluation.generate: 21: " + path("data") +
                                            " has 20 samples of split \"validation\" to complete; "
                                            "legal: at most that");
    Outcome const divided = train({"evaluation.generate=4", "parallel.tensor=2"}, 2);
    EXPECT_EQ(divided.exit_code, 2);
    EXPECT_NE(divided.output.find("parallel.tensor: 2: legal with evaluation.generate: 4: 1; "
                                  "completions are not divided over tensor ranks"),
              std::string::npos)
        << divided.output;
    refused({"evaluation.generate=4", "parallel.virtual_stages=2"},
            "parallel.virtual_stages: 2: legal with evaluation.generate: 4: 1; completions go "
            "through one part of the model on each stage");
    refused({"evaluation.generate=4", "parallel.device=cuda"}, "cuda");
    refused({"evaluation.metric=rouge_l"},
            "evaluation.metric: rouge_l: legal: loss, accuracy, perplexity");
    refused({"evaluation.generate=4", "evaluation.metric=rouge"},
            "evaluation.metric: rouge: legal: loss, accuracy, perplexity, exact_match, rouge_l");
    fs::remove(path("data/tokenizer.json"));
    refused({"evaluation.generate=4"}, "data/tokenizer.json: missing");
}

} // namespace
} // namespace trireme::test
