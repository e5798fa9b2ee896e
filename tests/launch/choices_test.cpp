// Scores of choices and of prompts, as a user runs them: those of transformers by the formulas of
// lm-evaluation-harness (tests/golden/make_choices.py), at any rank count.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/launch/json_lines.hpp"
#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string rows_of(Json const& pairs) {
    std::string rows;
    for (auto const& [text, label] : pairs.get<std::vector<std::pair<std::string, std::string>>>())
        rows += Json{{"text", text}, {"label", label}}.dump() + "\n";
    return rows;
}

class Choices : public Scene {
  protected:
    Choices() : golden_(Json::parse(cluster::read_file(TRIREME_GOLDEN "/choices.json"))) {
        std::string questions;
        for (auto const& question : golden_["questions"]) questions += question.dump() + "\n";
        write("questions.jsonl", questions)(dir());
        write("template.json", golden_["template"].dump())(dir());
        write("train.jsonl", rows_of(golden_["train"]))(dir());
        write("test.jsonl", rows_of(golden_["test"]))(dir());
        change("llama/config.json", "\"max_position_embeddings\": 16",
               "\"max_position_embeddings\": 64")(dir());
        write("llama/tokenizer_config.json", R"({"pad_token": "[PAD]"})")(dir());
        copy_golden("bert-masked");
    }

    /// Makes DIR/MODEL of a golden encoder.
    void copy_golden(std::string const& model) {
        fs::create_directories(dir() + "/" + model);
        auto const copy = [&](std::string const& from, std::string const& file) {
            fs::copy_file(from + "/" + file, dir() + "/" + model + "/" + file,
                          fs::copy_options::overwrite_existing);
        };
        copy(TRIREME_GOLDEN "/" + model, "config.json");
        copy(TRIREME_GOLDEN "/" + model, "model.safetensors");
        copy(dir() + "/llama", "tokenizer.json");
        write(model + "/tokenizer_config.json", R"({"mask_token": "was"})")(dir());
    }

    /// Runs `evaluate` with predictions, whose lines are kept.
    Json evaluate(std::vector<std::string> arguments, int ranks = 0) {
        std::vector<std::string> all{"evaluate", "--predictions", "DIR/p.jsonl", "--force"};
        all.insert(all.end(), arguments.begin(), arguments.end());
        Outcome const outcome = run(all, ranks);
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        if (outcome.exit_code != 0) return {};
        predictions_ = cluster::read_file(dir() + "/p.jsonl");
        return lines_of(outcome.output).at(0);
    }
    void prepare(std::string const& model) {
        Outcome const prepared =
            run({"prepare", "--task", "classification", "--tokenizer", "DIR/" + model, "--label",
                 "label", "--train", "DIR/train.jsonl", "--test", "DIR/test.jsonl", "--output",
                 "DIR/set-" + model});
        ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
    }
    /// The largest difference of the last predictions' scores from `wanted`.
    double difference(Json const& wanted) const {
        auto const lines = lines_of(predictions_);
        if (lines.size() != wanted.size()) return 1e9;
        double most = 0;
        for (std::size_t q = 0; q < lines.size(); ++q)
            for (std::size_t c = 0; c < wanted[q].size(); ++c)
                most = std::max(most, std::abs(lines[q]["scores"].at(c).get<double>() -
                                               wanted[q][c].get<double>()));
        return most;
    }

    Json golden_;
    std::string predictions_;
};

TEST_F(Choices, OfQuestionsHaveTheScoresOfTransformers) {
    for (std::string const model : {"llama", "bert-masked"}) {
        Json const& wanted = golden_["scores"][model];
        Json const found =
            evaluate({"--model", "DIR/" + model, "--choices", "DIR/questions.jsonl"});
        EXPECT_LT(difference(wanted["choices"]), 1e-5) << model;
        EXPECT_EQ(found["accuracy"], wanted["accuracy"]) << model;
        EXPECT_EQ(found["accuracy_per_byte"], wanted["accuracy_per_byte"]) << model;
        EXPECT_EQ(found["samples"], 5) << model;
    }
}

TEST_F(Choices, OfPairedSentencesHaveTheScoresOfTransformers) {
    std::string rows;
    for (auto const& [more, less] :
         golden_["pairs"].get<std::vector<std::pair<std::string, std::string>>>())
        rows += Json{{"more", more}, {"less", less}}.dump() + "\n";
    write("pairs.jsonl", rows)(dir());
    for (std::string const model : {"llama", "bert-masked"}) {
        Json const& wanted = golden_["scores"][model]["pairs"];
        Json const found = evaluate({"--model", "DIR/" + model, "--pairs", "DIR/pairs.jsonl"});
        EXPECT_LT(difference(wanted), 1e-5) << model;
        auto const more =
            std::ranges::count_if(wanted, [](Json const& pair) { return pair.at(0) > pair.at(1); });
        EXPECT_EQ(found["accuracy"], static_cast<double>(more) / 4) << model;
        std::string const predictions = predictions_;
        evaluate({"--model", "DIR/" + model, "--pairs", "DIR/pairs.jsonl"}, 2);
        EXPECT_EQ(predictions_, predictions) << "on two ranks";
    }
}

TEST_F(Choices, RefuseInOneLineSentencesThatAreNoPair) {
    auto const refused = [&](std::string const& rows, std::string const& model) {
        write("bad.jsonl", rows + "\n")(dir());
        Outcome const outcome =
            run({"evaluate", "--model", "DIR/" + model, "--pairs", "DIR/bad.jsonl"});
        EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
        return outcome.output;
    };
    EXPECT_EQ(refused(R"({"more": "it is", "less": "it is"})", "llama"),
              "trireme: DIR/bad.jsonl:1: more and less are equal; legal: two sentences\n");
    EXPECT_EQ(refused(R"({"more": " ", "less": "it is"})", "llama"),
              "trireme: DIR/bad.jsonl:1: more: legal: a sentence\n");
    EXPECT_EQ(refused(R"({"more": "good film", "less": "it is"})", "bert-masked"),
              "trireme: DIR/bad.jsonl:1: the sentences have no token in common; legal: two that "
              "differ in a few words\n");
    Outcome const both = run({"evaluate", "--model", "DIR/llama", "--pairs", "DIR/bad.jsonl",
                              "--choices", "DIR/questions.jsonl"});
    EXPECT_EQ(both.output, "trireme: --pairs: legal without --data, --shots, --choices and "
                           "--template: the file has the sentences\n");
}

TEST_F(Choices, OfPromptsHaveTheScoresOfTransformers) {
    for (std::string const model : {"llama", "bert-masked"}) {
        prepare(model);
        std::vector<std::string> const arguments{
            "--model",    "DIR/" + model,      "--data", "DIR/set-" + model,
            "--template", "DIR/template.json", "--shots"};
        for (auto const& [shots, orders] : golden_["scores"][model]["few_shot"].items()) {
            auto all = arguments;
            all.push_back(shots);
            evaluate(all);
            double least = 1e9; // the seed chose the order of the shots
            for (auto const& order : orders) least = std::min(least, difference(order));
            EXPECT_LT(least, 1e-5) << model << " behind " << shots;
        }
    }
}

TEST_F(Choices, OfTheNearestNeighboursAreThoseOfScikitLearn) {
    Json const golden = Json::parse(cluster::read_file(TRIREME_GOLDEN "/neighbours.json"));
    write("train.jsonl", rows_of(golden["train"]))(dir());
    write("test.jsonl", rows_of(golden["test"]))(dir());
    for (auto const& [model, counts] : golden["models"].items()) {
        copy_golden(model);
        prepare(model);
        for (auto const& [count, wanted] : counts.items()) {
            std::vector<std::string> const arguments{"--model",          "DIR/" + model, "--data",
                                                     "DIR/set-" + model, "--shots",      "18",
                                                     "--neighbours",     count};
            Json const found = evaluate(arguments);
            EXPECT_EQ(found["accuracy"], wanted["accuracy"]) << model << " " << count;
            auto const lines = lines_of(predictions_);
            ASSERT_EQ(lines.size(), golden["test"].size());
            for (std::size_t i = 0; i < lines.size(); ++i) {
                EXPECT_EQ(lines[i]["prediction"], wanted["predictions"][i]);
                EXPECT_EQ(lines[i]["shares"], wanted["shares"][i]) << model << " " << count;
                for (std::size_t k = 0; k < wanted["neighbours"][i].size(); ++k)
                    EXPECT_EQ(lines[i]["neighbours"][k],
                              dir() + "/train.jsonl:" +
                                  std::to_string(wanted["neighbours"][i][k].get<int>() + 1));
            }
        }
    }
}

TEST_F(Choices, OfNeighboursAreTheSameInEveryLayout) {
    Json const golden = Json::parse(cluster::read_file(TRIREME_GOLDEN "/neighbours.json"));
    write("train.jsonl", rows_of(golden["train"]))(dir());
    write("test.jsonl", rows_of(golden["test"]))(dir());
    prepare("bert-masked");
    std::vector<std::string> const arguments{
        "--model", "DIR/bert-masked", "--data", "DIR/set-bert-masked", "--shots", "8"};
    Json const alone = evaluate(arguments);
    std::string const predictions = predictions_;
    auto const with = [&](std::vector<std::string> const& more) {
        auto all = arguments;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    };
    EXPECT_EQ(evaluate(with({"--tokens-per-micro-batch", "1"})), alone) << "unpacked";
    EXPECT_EQ(predictions_, predictions);
    for (auto const& [ranks, layout] : std::vector<std::pair<int, std::vector<std::string>>>{
             {2, {}},
             {3, {}},
             {2, {"--set", "parallel.tensor=2"}},
             {2, {"--set", "parallel.pipeline=2"}},
             {2, {"--set", "parallel.zero=3"}},
             {4, {"--set", "parallel.tensor=2", "--set", "parallel.pipeline=2"}}}) {
        EXPECT_EQ(evaluate(with(layout), ranks), alone) << ranks;
        EXPECT_EQ(predictions_, predictions) << ranks;
    }
}

TEST_F(Choices, AreTheSameAtAnyRankCountAndMicroBatch) {
    prepare("llama");
    std::vector<std::string> const arguments{"--model",       "DIR/llama",  "--data",
                                             "DIR/set-llama", "--template", "DIR/template.json",
                                             "--shots",       "2"};
    Json const alone = evaluate(arguments);
    std::string const predictions = predictions_;
    auto unpacked = arguments;
    unpacked.insert(unpacked.end(), {"--tokens-per-micro-batch", "1"});
    EXPECT_EQ(evaluate(unpacked)["confusion"], alone["confusion"]);
    EXPECT_LT(difference([&] {
                  Json scores = Json::array();
                  for (auto const& line : lines_of(predictions)) scores.push_back(line["scores"]);
                  return scores;
              }()),
              1e-5);
    EXPECT_EQ(evaluate(arguments, 2), alone);
    EXPECT_EQ(predictions_, predictions);
    EXPECT_TRUE(alone.contains("f1") && alone.contains("confusion")) << alone;
}

TEST_F(Choices, RefuseInOneLineWhatDoesNotFit) {
    prepare("llama");
    auto const refused = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"evaluate", "--model", "DIR/llama"});
        Outcome const outcome = run(arguments);
        EXPECT_EQ(outcome.exit_code, 2) << outcome.output;
        return outcome.output;
    };
    change("llama/config.json", "\"max_position_embeddings\": 64",
           "\"max_position_embeddings\": 30")(dir());
    std::vector<std::string> const shots{
        "--data", "DIR/set-llama", "--template", "DIR/template.json", "--shots", "2"};
    EXPECT_EQ(refused(shots), "trireme: --shots: 2: DIR/test.jsonl:3 has 31 tokens with them; "
                              "legal: at most 1, as DIR/llama/config.json has 30 positions\n");
    EXPECT_EQ(
        refused({"--data", "DIR/set-llama", "--template", "DIR/template.json"}),
        "trireme: --template: legal with --shots, the number of examples in a prompt, or with "
        "--choices\n");
    EXPECT_EQ(refused({"--data", "DIR/set-llama", "--shots", "0"}),
              "trireme: --shots: 0: legal without --template: a whole number >= 1, of texts among "
              "which the nearest are\n");
    EXPECT_EQ(refused({"--data", "DIR/set-llama", "--shots", "2", "--neighbours", "3"}),
              "trireme: --neighbours: 3: legal: 1 to 2, the --shots\n");
    EXPECT_EQ(refused({"--data", "DIR/set-llama", "--neighbours", "1"}),
              "trireme: --neighbours: legal with --shots and without --template: how many of the "
              "nearest texts give a text its label\n");
    EXPECT_EQ(refused({"--data", "DIR/set-llama", "--shots", "2", "--split", "train"}),
              "trireme: --split: train: the shots are taken from it; legal: another\n");
    EXPECT_EQ(refused({"--choices", "DIR/questions.jsonl", "--data", "DIR/set-llama"}),
              "trireme: --choices: legal without --data and --shots: the file has the questions\n");
    write("bad.jsonl", R"({"question": "it", "choices": ["a", "b"], "answer": 2})"
                       "\n")(dir());
    EXPECT_EQ(refused({"--choices", "DIR/bad.jsonl"}),
              "trireme: DIR/bad.jsonl:1: answer: 2: legal: a place in the choices from 0 to 1, its "
              "letter or label, or its text\n");
    write("template.json", R"({"template": "{text} is"})")(dir());
    EXPECT_EQ(refused(shots), "trireme: DIR/template.json: template: legal: a text with one "
                              "{label}\n");
    EXPECT_EQ(refused({}), "trireme: --data: missing; legal: folder that `trireme prepare` wrote, "
                           "or --choices FILE, or --pairs FILE\n");
}

} // namespace
} // namespace trireme::test
