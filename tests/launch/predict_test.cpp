// Predictions of texts without labels, as a user runs them: they are those of `evaluate`, whose
// logits equal transformers' (golden_test), at any rank count.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/launch/json_lines.hpp"
#include "tests/launch/scene.hpp"

namespace trireme::test {
namespace {

using Json = nlohmann::json;

class Predict : public Scene {
  protected:
    Predict() {
        std::string rows = "text,label\n";
        std::vector<std::string> const labels{"bad", "good", "so-so"},
            words{"good", "bad", "film", "\"quoted, cell\"", "great"};
        for (std::size_t i = 0; i < 20; ++i) {
            std::string text = "the";
            for (std::size_t k = 0; k <= i % 7; ++k) text += " film";
            rows += (i == 3 ? words[3] : text + " is " + words[i % 3]) + "," + labels[i % 3] + "\n";
        }
        write("rows.csv", rows)(dir());
    }
    Outcome shell(std::string const& command) const {
        std::string program;
        for (auto const& word : trireme(0, {})) program += "'" + word + "' ";
        TemporaryFolder const script;
        cluster::write_file(script.path() + "/run.sh",
                            replaced(replaced(command, "$trireme", program), "DIR", dir()));
        Outcome outcome = run_command({"sh", script.path() + "/run.sh"});
        outcome.output = replaced(outcome.output, dir(), "DIR");
        return outcome;
    }
    std::vector<Json> file(std::string const& name) const {
        return lines_of(cluster::read_file(dir() + "/" + name));
    }
};

TEST_F(Predict, SaysOfTextsWhatEvaluateSaysOfThemWithLabels) {
    Outcome const prepared =
        run({"prepare", "--task", "classification", "--tokenizer", "DIR/bert", "--label", "label",
             "--train", "DIR/rows.csv", "--output", "DIR/set"});
    ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
    Outcome const evaluated = run({"evaluate", "--model", "DIR/bert", "--data", "DIR/set",
                                   "--split", "train", "--predictions", "DIR/e.jsonl"});
    ASSERT_EQ(evaluated.exit_code, 0) << evaluated.output;
    Outcome const made =
        run({"predict", "DIR/bert", "--input", "DIR/rows.csv", "--output", "DIR/p.jsonl"});
    ASSERT_EQ(made.exit_code, 0) << made.output;
    std::map<std::string, Json> with_labels;
    for (auto const& line : file("e.jsonl")) with_labels[line.at("source")] = line;
    EXPECT_EQ(with_labels.size(), 20U) << "each row by its place";
    for (auto const& line : file("p.jsonl")) {
        Json const& other = with_labels.at(line.at("source"));
        EXPECT_EQ(line.at("prediction"), other.at("prediction"));
        for (auto const& [name, p] : line.at("probabilities").items())
            EXPECT_NEAR(p.get<double>(), other.at("probabilities").at(name).get<double>(), 1e-6);
    }
    // The scores of classes are those of the file of predictions, counted anew.
    auto const metrics = lines_of(evaluated.output).at(0);
    EXPECT_EQ(metrics.at("labels"), (std::vector<std::string>{"bad", "good", "so-so"}));
    for (auto const& [name, scores] : metrics.at("classes").items()) {
        double said = 0, are = 0, right = 0;
        for (auto const& [source, line] : with_labels) {
            said += line.at("prediction") == name;
            are += line.at("label") == name;
            right += line.at("prediction") == name && line.at("label") == name;
        }
        EXPECT_EQ(scores.at("support"), are);
        EXPECT_NEAR(scores.at("recall").get<double>(), right / are, 1e-12);
        if (said > 0)
            EXPECT_NEAR(scores.at("precision").get<double>(), right / said, 1e-12);
        else
            EXPECT_TRUE(scores.at("precision").is_null());
    }
    Outcome const table = run(
        {"evaluate", "--model", "DIR/bert", "--data", "DIR/set", "--split", "train", "--table"});
    EXPECT_NE(table.output.find("class                 precision"), std::string::npos)
        << table.output;
    EXPECT_NE(table.output.find("label \\ prediction"), std::string::npos) << table.output;
}

TEST_F(Predict, IsTheSameAtAnyRankCount) {
    std::string first;
    for (int const ranks : {0, 1, 2, 3}) {
        std::string const out = "p" + std::to_string(ranks) + ".jsonl";
        Outcome const made = run({"predict", "DIR/bert", "--input", "DIR/rows.csv", "--output",
                                  "DIR/" + out, "--tokens-per-micro-batch", "40"},
                                 ranks);
        ASSERT_EQ(made.exit_code, 0) << made.output;
        EXPECT_NE(made.output.find("20 texts: "), std::string::npos) << made.output;
        std::string const text = cluster::read_file(dir() + "/" + out);
        if (first.empty()) first = text;
        EXPECT_EQ(text, first) << ranks << " ranks";
    }
    auto const lines = lines_of(first);
    ASSERT_EQ(lines.size(), 20U);
    EXPECT_EQ(lines[3].at("text"), "quoted, cell");
    EXPECT_EQ(lines[4].at("source"), dir() + "/rows.csv:6");
    for (auto const& line : lines) {
        double sum = 0, most = 0;
        std::string likeliest;
        for (auto const& [name, p] : line.at("probabilities").items()) {
            sum += p.get<double>();
            if (p.get<double>() > most) likeliest = name;
            most = std::max(most, p.get<double>());
        }
        EXPECT_NEAR(sum, 1, 1e-12);
        EXPECT_EQ(line.at("prediction"), likeliest);
        EXPECT_FALSE(line.contains("label") || line.contains("correct"));
    }
}

TEST_F(Predict, ReadsStandardInputLineByLine) {
    Outcome const made =
        shell("printf 'the film is good\\r\\n  \\nthe film is bad' | $trireme predict DIR/bert");
    ASSERT_EQ(made.exit_code, 0) << made.output;
    auto const lines = lines_of(made.output);
    ASSERT_EQ(lines.size(), 3U) << made.output;
    EXPECT_EQ(lines[0].at("text"), "the film is good");
    EXPECT_EQ(lines[0].at("source"), "standard input:1");
    EXPECT_TRUE(lines[1].at("prediction").is_null()) << "there is nothing to predict from";
    EXPECT_FALSE(lines[1].contains("probabilities"));
    EXPECT_EQ(lines[2].at("source"), "standard input:3");
    EXPECT_NE(made.output.find("3 texts: "), std::string::npos) << made.output;
    EXPECT_NE(made.output.find("; 1 without a word"), std::string::npos) << made.output;
    Outcome const nothing = shell("$trireme predict DIR/bert < /dev/null");
    EXPECT_EQ(nothing.exit_code, 0);
    EXPECT_EQ(nothing.output, "0 texts\n");
}

TEST_F(Predict, SaysWhatItCut) {
    Outcome const made =
        shell("echo 'the film is good the film is bad' | $trireme predict DIR/bert --max-length 5");
    ASSERT_EQ(made.exit_code, 0) << made.output;
    EXPECT_EQ(lines_of(made.output).at(0).at("cut"), true);
    EXPECT_NE(made.output.find("; 1 cut to 5 tokens"), std::string::npos) << made.output;
}

TEST_F(Predict, RefusesInOneLine) {
    write("latin.csv", "text\ncaf\xe9\n")(dir());
    write("other.csv", "review\nfine\n")(dir());
    for (auto const& [command, line] : std::map<std::string, std::string>{
             {"$trireme predict DIR/llama < /dev/null",
              "DIR/llama/config.json: architectures: LlamaForCausalLM: legal: "
              "...ForSequenceClassification"},
             {"$trireme predict DIR/bert --input DIR/other.csv", "DIR/other.csv:1: "},
             {"$trireme predict DIR/bert --input DIR/latin.csv", "DIR/latin.csv:2: "},
             {"$trireme predict DIR/bert --input DIR/none.csv", "DIR/none.csv: "},
             {"printf 'caf\\351\\n' | $trireme predict DIR/bert",
              "standard input:1: not UTF-8; legal: a text in UTF-8 per line"},
             {"$trireme predict DIR/bert --max-length 1 < /dev/null",
              "--max-length: 1: legal: 2 or more, at most "},
             {"$trireme predict DIR/bert --text '' < /dev/null", "--text: legal: "},
             {"$trireme predict DIR/bert --text $(printf 'a\\377') < /dev/null",
              "--text: a\\xff: legal: a name in UTF-8"},
             {"$trireme predict DIR/bert --pair b < /dev/null",
              "--pair: legal with --input FILE only"},
             {"$trireme predict DIR/bert --input DIR/rows.csv --output DIR/rows.csv --force",
              "--output: DIR/rows.csv: "},
             {"$trireme predict DIR/nowhere < /dev/null",
              "DIR/nowhere/tokenizer.json: missing; legal: "}}) {
        auto const before = snapshot(dir());
        Outcome const refused = shell(command);
        EXPECT_EQ(refused.exit_code, 2) << command << "\n" << refused.output;
        EXPECT_EQ(refused.output.find("trireme: " + line), 0U) << command << "\n" << refused.output;
        EXPECT_EQ(std::ranges::count(refused.output, '\n'), 1) << refused.output;
        EXPECT_EQ(snapshot(dir()), before) << command;
    }
}

} // namespace
} // namespace trireme::test
