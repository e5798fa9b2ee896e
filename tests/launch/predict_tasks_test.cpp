// Predictions of words, answers, sets of labels and windows for texts without labels: those of
// `evaluate` on the same rows, at any rank count.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

using Json = nlohmann::json;
using WordList = std::vector<std::string>;

std::string const kGolden = TRIREME_GOLDEN;

WordList words_of(int i, int count) {
    constexpr std::array kWords{"the", "film", "is", "good", "bad", "plot", "actors", "boring"};
    WordList words;
    for (int w = 0; w < count; ++w)
        words.emplace_back(kWords[static_cast<std::size_t>(i * 3 + w * 5) % kWords.size()]);
    return words;
}

std::string joined(WordList const& words, std::size_t first, std::size_t end) {
    std::string text;
    for (std::size_t w = first; w < end; ++w) text += (w == first ? "" : " ") + words[w];
    return text;
}
std::string text_of(int i, int count) {
    WordList const words = words_of(i, count);
    return joined(words, 0, words.size());
}

class PredictTasks : public testing::Test {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    Outcome run(WordList const& arguments, int ranks = 0) const {
        return run_command(trireme(ranks, arguments));
    }
    void write_rows(std::string const& file, int count, std::function<Json(int)> const& row) const {
        std::string rows;
        for (int i = 0; i < count; ++i) rows += row(i).dump() + "\n";
        cluster::write_file(path(file), rows);
    }
    /// A model beside the tokenizer of the golden data.
    void take_model(std::string const& name) const {
        std::filesystem::copy(kGolden + "/" + name, path("model"));
        std::filesystem::copy(kGolden + "/tokenizer", path("model"),
                              std::filesystem::copy_options::skip_existing |
                                  std::filesystem::copy_options::recursive);
    }
    std::map<std::string, Json> lines_of(std::string const& file) const {
        std::map<std::string, Json> lines;
        std::istringstream in(cluster::read_file(path(file)));
        for (std::string line; std::getline(in, line);) {
            Json const json = Json::parse(line);
            lines[json.at("source")] = json;
        }
        return lines;
    }
    /// Lines that `evaluate` writes about rows.jsonl.
    std::map<std::string, Json> evaluated(std::string const& task, WordList const& prepare,
                                          WordList const& evaluate = {}) const {
        WordList words{"prepare", "--task",           task,       "--tokenizer", path("model"),
                       "--train", path("rows.jsonl"), "--output", path("data")};
        words.insert(words.end(), prepare.begin(), prepare.end());
        Outcome const prepared = run(words);
        EXPECT_EQ(prepared.exit_code, 0) << prepared.output;
        words = {"evaluate", "--model", path("model"),   "--data",          path("data"),
                 "--split",  "train",   "--predictions", path("evaluated"), "--force"};
        words.insert(words.end(), evaluate.begin(), evaluate.end());
        Outcome const scored = run(words);
        EXPECT_EQ(scored.exit_code, 0) << scored.output;
        std::filesystem::remove_all(path("data"));
        return lines_of("evaluated");
    }
    /// The lines of `predict` for rows.jsonl, which are the same at any rank count.
    std::map<std::string, Json> predicted(WordList const& options,
                                          std::vector<int> const& ranks = {0}) const {
        std::string first;
        for (int const count : ranks) {
            WordList words{"predict",  path("model"),     "--input", path("rows.jsonl"),
                           "--output", path("predicted"), "--force", "--tokens-per-micro-batch",
                           "40"};
            words.insert(words.end(), options.begin(), options.end());
            Outcome const made = run(words, count);
            EXPECT_EQ(made.exit_code, 0) << made.output;
            std::string const text = cluster::read_file(path("predicted"));
            if (first.empty()) first = text;
            EXPECT_EQ(text, first) << count << " ranks";
        }
        return lines_of("predicted");
    }

    TemporaryFolder folder_;
};

TEST_F(PredictTasks, NamesTheWordsOfEntities) {
    take_model("bert-tokens");
    write_rows("rows.jsonl", 20, [](int i) {
        WordList const tokens = words_of(i, 2 + i % 7);
        WordList tags(tokens.size(), "O");
        tags[0] = "B-ANT";
        tags[1] = "I-ANT";
        return Json{{"tokens", tokens}, {"tags", tags}};
    });
    auto const expected = evaluated("token-classification", {"--labels", "O", "B-ANT", "I-ANT"});
    auto const lines = predicted({}, {0, 1, 2, 4});
    ASSERT_EQ(lines.size(), 20U);
    int entities = 0;
    for (auto const& [source, line] : lines) {
        EXPECT_EQ(line.at("predictions"), expected.at(source).at("predictions"));
        EXPECT_EQ(line.at("entities").size(), expected.at(source).at("entities").size());
        auto const words = line.at("words").get<WordList>();
        EXPECT_EQ(line.at("text"), joined(words, 0, words.size()));
        for (std::size_t e = 0; e < line.at("entities").size(); ++e, ++entities) {
            auto const& entity = line["entities"][e];
            EXPECT_EQ(entity.at("start"), expected.at(source)["entities"][e].at("start"));
            EXPECT_EQ(entity.at("text"), joined(words, entity.at("start"), entity.at("end")));
        }
    }
    EXPECT_GT(entities, 0) << "nothing was compared";
}

TEST_F(PredictTasks, WordsThatWereCutHaveNoClassUnlessWindowsHaveThem) {
    take_model("bert-tokens");
    write_rows("rows.jsonl", 1, [](int) { return Json{{"tokens", text_of(0, 30)}}; });
    auto const cut = predicted({}).begin()->second;
    ASSERT_EQ(cut.at("words").size(), 30U) << "blanks divide a text";
    EXPECT_EQ(cut.at("cut"), true);
    EXPECT_TRUE(cut.at("predictions").at(0).is_string());
    EXPECT_TRUE(cut.at("predictions").at(29).is_null());
    auto const whole = predicted({"--windows", "4"}, {0, 2}).begin()->second;
    EXPECT_FALSE(whole.contains("cut"));
    ASSERT_EQ(whole.at("predictions").size(), 30U);
    for (auto const& prediction : whole.at("predictions")) EXPECT_TRUE(prediction.is_string());
    EXPECT_EQ(whole.at("predictions").at(0), cut.at("predictions").at(0));
}

TEST_F(PredictTasks, AnswersQuestionsOverAllWindows) {
    take_model("bert-answers");
    auto const row = [](int i) {
        return Json{{"question", "the plot"},
                    {"context", text_of(i, 6 + 3 * (i % 5))},
                    {"answers", {{"text", Json::array()}, {"answer_start", Json::array()}}}};
    };
    write_rows("rows.jsonl", 20, row);
    auto const expected = evaluated("question-answering", {});
    auto without_answers = [&](int i) {
        Json json = row(i);
        json.erase("answers");
        return json;
    };
    write_rows("rows.jsonl", 20, without_answers);
    auto const lines = predicted({}, {0, 1, 2, 4});
    auto const always = predicted({"--always-answer"});
    ASSERT_EQ(lines.size(), 20U);
    std::size_t windows = 0;
    for (auto const& [source, line] : lines) {
        auto const& other = expected.at(source);
        windows += other.at("samples").size();
        for (char const* key : {"prediction", "score", "null_score", "candidates"})
            EXPECT_EQ(line.at(key), other.at(key)) << source << " " << key;
        EXPECT_EQ(line.at("text"), "the plot");
        EXPECT_FALSE(line.contains("exact") || line.contains("answers"));
        auto const& best = line.at("candidates").at(0);
        EXPECT_EQ(always.at(source).at("prediction"), best.at("text"));
        EXPECT_EQ(line.at("pair").get<std::string>().substr(
                      best.at("start"), best.at("end").get<int>() - best.at("start").get<int>()),
                  best.at("text"));
    }
    EXPECT_GT(windows, 20U) << "no context was divided";
}

TEST_F(PredictTasks, LabelsFromAThresholdOnAndWindowsArePooled) {
    take_model("bert-multi-label");
    auto const config = Json::parse(cluster::read_file(path("model/config.json")));
    WordList names;
    for (std::size_t i = 0; i < config.at("id2label").size(); ++i)
        names.push_back(config["id2label"][std::to_string(i)]);
    write_rows("rows.jsonl", 20, [&](int i) {
        return Json{{"text", text_of(i, 2 + i % 9)},
                    {"labels", {names[static_cast<std::size_t>(i) % names.size()]}}};
    });
    WordList prepare{"--label", "labels", "--max-length", "7", "--windows", "2", "--labels"};
    prepare.insert(prepare.end(), names.begin(), names.end());
    for (WordList const& pooling : {WordList{}, WordList{"--pooling", "max"}}) {
        auto const expected = evaluated("multi-label", prepare, pooling);
        WordList options{"--max-length", "7", "--windows", "2"};
        options.insert(options.end(), pooling.begin(), pooling.end());
        auto const lines = predicted(options, {0, 1, 2, 4});
        ASSERT_EQ(lines.size(), 20U);
        for (auto const& [source, line] : lines)
            for (char const* key : {"predictions", "probabilities"})
                EXPECT_EQ(line.at(key), expected.at(source).at(key)) << source;
    }
    int at_half = 0, more = 0;
    for (auto const& [source, line] : predicted({})) at_half += line.at("predictions").size();
    for (auto const& [source, line] : predicted({"--threshold", "0.3"})) {
        WordList found;
        for (auto const& name : names)
            if (line.at("probabilities").at(name).get<double>() >= 0.3) found.push_back(name);
        EXPECT_EQ(line.at("predictions").get<WordList>(), found);
        more += static_cast<int>(found.size());
    }
    EXPECT_GT(more, at_half) << "the threshold told no label more";
}

TEST_F(PredictTasks, RefusesInOneLine) {
    take_model("bert-answers");
    write_rows("rows.jsonl", 1, [](int) { return Json{{"question", "a"}, {"context", 3}}; });
    std::string const file = path("rows.jsonl");
    for (auto const& [options, line] : std::map<WordList, std::string>{
             {{}, "--input: -: legal with a model of question-answering: a file, "},
             {{"--input", file}, file + ":1: context: 3: legal: a text; --context names "},
             {{"--input", file, "--text", "a"}, "--text: legal with a model of classification, "},
             {{"--input", file, "--windows", "3"}, "--windows: legal with a model of "},
             {{"--input", file, "--context", ""}, "--context: has no value; legal: "},
             {{"--input", file, "--threshold", "1"}, "--threshold: 1: legal: a number between "},
             {{"--input", file, "--pooling", "least"}, "--pooling: least: legal: mean, max"}}) {
        WordList words{"predict", path("model")};
        words.insert(words.end(), options.begin(), options.end());
        Outcome const refused = run_command([&] {
            auto command = trireme(0, words);
            std::string text = "echo a |";
            for (auto const& word : command) text += " '" + word + "'";
            return WordList{"sh", "-c", text};
        }());
        EXPECT_EQ(refused.exit_code, 2) << refused.output;
        EXPECT_EQ(refused.output.find("trireme: " + line), 0U) << refused.output;
        EXPECT_EQ(std::ranges::count(refused.output, '\n'), 1) << refused.output;
    }
}

/// Tokens and probabilities are those of transformers' pipeline "fill-mask" (make_fill_mask.py).
TEST_F(PredictTasks, FillsInHiddenWords) {
    take_model("bert-masked");
    for (auto const* name : {"tokenizer.json", "tokenizer_config.json"})
        cluster::write_file(path("model/" + std::string(name)),
                            cluster::read_file(kGolden + "/fill-mask/" + name));
    Json const wanted = Json::parse(cluster::read_file(kGolden + "/fill-mask/expected.json"));
    auto const count = static_cast<int>(wanted.size());
    write_rows("rows.jsonl", count, [&](int i) {
        return Json{{"text", wanted[static_cast<std::size_t>(i)].at("text")}};
    });
    auto const lines = predicted({"--top", "7"}, {0, 2});
    predicted({"--top", "7", "--set", "parallel.pipeline=2"}, {2});
    ASSERT_EQ(lines.size(), wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        Json const& masks = lines.at(path("rows.jsonl") + ":" + std::to_string(i + 1)).at("masks");
        ASSERT_EQ(masks.size(), wanted[i].at("masks").size());
        for (std::size_t m = 0; m < masks.size(); ++m) {
            ASSERT_EQ(masks[m].size(), 7U);
            for (std::size_t k = 0; k < 7; ++k) {
                Json const &ours = masks[m][k], &theirs = wanted[i]["masks"][m][k];
                EXPECT_EQ(ours.at("token"), theirs.at("token"));
                EXPECT_NEAR(ours.at("probability"), theirs.at("probability").get<double>(), 1e-6);
                EXPECT_TRUE(ours.at("word").is_string());
            }
        }
    }
    Outcome const refused = run({"predict", path("model"), "--top", "0"});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.output.find("--top: 0: legal: 1 to 1000"), std::string::npos);
    cluster::write_file(path("model/tokenizer_config.json"), "{}");
    Outcome const none = run({"predict", path("model"), "--input", path("rows.jsonl")});
    EXPECT_EQ(none.exit_code, 2);
    EXPECT_NE(none.output.find("mask_token: none that tokenizer.json has"), std::string::npos)
        << none.output;
}

} // namespace
} // namespace trireme::test
