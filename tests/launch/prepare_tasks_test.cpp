// `trireme prepare` and `inspect` of several labels, classes of words, answers in a context and
// masked words: what becomes of rows, and the one line about rows that are not what they should be.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "data/questions.hpp"
#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

using Ids = std::vector<std::int32_t>;

class PrepareTasks : public Prepare {
  protected:
    /// Prepares `text` as the training split, and opens it.
    std::unique_ptr<data::Dataset> made(std::string const& task, std::string const& name,
                                        std::string const& text, std::vector<std::string> more = {},
                                        char const* folder = "out") {
        std::vector<std::string> arguments{"--task", task, "--train", file(name, text)};
        arguments.insert(arguments.end(), more.begin(), more.end());
        said_ = prepare(arguments, folder);
        EXPECT_EQ(said_.exit_code, 0) << said_.output;
        return said_.exit_code == 0 ? data::open_dataset(out(folder), "train") : nullptr;
    }
    std::string inspected() const { return run_command(trireme(0, {"inspect", out()})).output; }
    std::string summary_words() const { return said_.output; }
    Outcome said_;
};

std::vector<float> targets(data::Dataset const& set, std::int64_t sample) {
    return set.read({sample}, 1).columns.reals_of(data::kTargets);
}

TEST_F(PrepareTasks, LabelsOfAListAreTargets) {
    auto const set = made("multi-label", "r.jsonl",
                          "{\"text\": \"the film\", \"labels\": [\"b\", \"a\"]}\n"
                          "{\"text\": \"bad\", \"labels\": []}\n"
                          "{\"text\": \"good plot\", \"labels\": [\"b\"]}\n",
                          {"--label", "labels"});
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->label_names(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(targets(*set, 0), (std::vector<float>{1, 1}));
    EXPECT_EQ(targets(*set, 1), (std::vector<float>{0, 0}));
    EXPECT_EQ(targets(*set, 2), (std::vector<float>{0, 1}));
    EXPECT_TRUE(has(summary_words(), "labels: a 1, b 2")) << summary_words();
    EXPECT_TRUE(has(inspected(), "labels a, b")) << inspected();
    EXPECT_TRUE(has(inspected(), "no label")) << inspected();
}

TEST_F(PrepareTasks, LabelsOfATextAndOfColumnsAreThoseOfAList) {
    auto const text = made("multi-label", "r.csv", "text,tags\nfilm,b; a\nbad,\ngood,b\n",
                           {"--label", "tags", "--label-separator", ";"}, "text");
    auto const columns = made("multi-label", "c.csv", "text,a,b\nfilm,1,1\nbad,0,0\ngood,0,1\n",
                              {"--label", "a", "b"}, "columns");
    ASSERT_TRUE(text && columns);
    EXPECT_EQ(text->label_names(), columns->label_names());
    for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(targets(*text, i), targets(*columns, i)) << i;
}

constexpr char const* kSentence =
    R"({"tokens": ["the", "great", "plot", "is"], "tags": ["O", "B-W", "I-W", "O"]})"
    "\n";

TEST_F(PrepareTasks, WordsHaveTheirClassAtTheirFirstToken) {
    auto const set = made("token-classification", "r.jsonl", kSentence);
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->label_names(), (std::vector<std::string>{"B-W", "I-W", "O"}));
    auto const all = set->read({0}, 1);
    EXPECT_EQ(all.tokens, (Ids{2, 4, 12, 14, 6, 3}));
    EXPECT_EQ(all.columns.labels_of(data::kTokenClasses), (Ids{-100, 2, 0, 1, 2, -100}));
    EXPECT_TRUE(has(inspected(), "[CLS]|the|great:B-W|plot:I-W|is|[SEP]")) << inspected();
    EXPECT_TRUE(has(inspected(), "4 words, 1 begin an entity")) << inspected();
}

TEST_F(PrepareTasks, AFileOfConllAndNumbersWithNamesAreTheSame) {
    auto const conll = made("token-classification", "r.conll",
                            "-DOCSTART- -X- O\n\n# id 7\nthe DT O\ngreat JJ B-W\nplot NN I-W\n"
                            "is VB O\n\n",
                            {}, "conll");
    auto const numbers = made("token-classification", "n.jsonl",
                              R"({"tokens": ["the", "great", "plot", "is"], "tags": [0, 1, 2, 0]})"
                              "\n",
                              {"--labels", "O", "B-W", "I-W"}, "numbers");
    ASSERT_TRUE(conll && numbers);
    EXPECT_EQ(conll->read({0}, 1).tokens, (Ids{2, 4, 12, 14, 6, 3}));
    EXPECT_EQ(conll->source(0), folder_.path() + "/r.conll:4");
    EXPECT_EQ(numbers->read({0}, 1).columns.labels_of(data::kTokenClasses),
              (Ids{-100, 0, 1, 2, 0, -100}));
}

TEST_F(PrepareTasks, ALongSentenceIsCutBetweenWordsOrBecomesWindowsBetweenEntities) {
    auto const cut =
        made("token-classification", "r.jsonl", kSentence, {"--max-length", "4"}, "cut");
    ASSERT_NE(cut, nullptr);
    EXPECT_TRUE(has(summary_words(), "1 longer than 4 tokens cut")) << summary_words();
    EXPECT_EQ(cut->size(), 1);
    auto const set = made("token-classification", "r.jsonl", kSentence,
                          {"--max-length", "5", "--windows", "1"}, "windows");
    ASSERT_NE(set, nullptr);
    ASSERT_EQ(set->size(), 2);
    EXPECT_EQ(set->read({0}, 1).tokens, (Ids{2, 4, 12, 14, 3}));
    auto const second = set->read({1}, 1);
    EXPECT_EQ(second.tokens, (Ids{2, 14, 6, 3}));
    EXPECT_EQ(second.columns.labels_of(data::kTokenClasses), (Ids{-100, -100, 2, -100}))
        << "what the window before has counts once";
    EXPECT_EQ(set->source(0), set->source(1));
}

TEST_F(PrepareTasks, TagsAreRepairedIfAsked) {
    auto const set = made("token-classification", "r.jsonl",
                          "{\"tokens\": [\"the\", \"film\", \"is\"], \"tags\": [\"I-W\", \"I-W\", "
                          "\"B-W\"]}\n",
                          {"--repair-tags"});
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->read({0}, 1).columns.labels_of(data::kTokenClasses), (Ids{-100, 0, 1, 0, -100}));
    EXPECT_TRUE(has(summary_words(), "tags that were repaired: 1 (first ")) << summary_words();
    auto const numbers = made("token-classification", "n.jsonl",
                              "{\"tokens\": [\"the\", \"film\", \"is\"], \"tags\": [1, 1, 0]}\n",
                              {"--repair-tags", "--labels", "B-W", "I-W"}, "numbers");
    ASSERT_NE(numbers, nullptr);
    EXPECT_TRUE(has(summary_words(), "tags that were repaired: 1 (first ")) << summary_words();
}

TEST_F(PrepareTasks, WordsWithoutATokenAreCounted) {
    auto const set = made("token-classification", "r.jsonl",
                          "{\"tokens\": [\"the\", \"\\u200b\", \"film\"], \"tags\": [\"A\", "
                          "\"B\", \"B\"]}\n");
    ASSERT_NE(set, nullptr);
    EXPECT_EQ(set->read({0}, 1).columns.labels_of(data::kTokenClasses), (Ids{-100, 0, 1, -100}));
    EXPECT_TRUE(has(summary_words(), "words without a token, whose tags are left out: 1"))
        << summary_words();
}

constexpr char const* kQuestion =
    R"({"id": 7, "question": "is it good", "context": "été: the film is very good", )"
    R"("answers": {"text": ["very good"], "answer_start": [17]}})"
    "\n";

TEST_F(PrepareTasks, AnAnswerIsFoundByTokensAndBytes) {
    auto const set = made("question-answering", "r.jsonl", kQuestion);
    ASSERT_NE(set, nullptr);
    auto const all = set->read({0}, 1);
    EXPECT_EQ(all.tokens, (Ids{2, 6, 18, 7, 3, 1, 1, 4, 5, 6, 9, 7, 3}));
    EXPECT_EQ(all.columns.labels_of(data::kAnswer), (Ids{10, 11}));
    auto const& bytes = all.columns.labels_of(data::kContextBytes);
    EXPECT_EQ(Ids(bytes.begin(), bytes.begin() + 12),
              (Ids{-100, -100, -100, -100, -100, -100, -100, -100, -100, -100, 0, 5}))
        << "accents have two bytes";
    EXPECT_EQ(bytes.at(20), 19);
    auto const* questions = set->questions();
    ASSERT_NE(questions, nullptr);
    EXPECT_EQ(questions->all.at(0).id, "7");
    EXPECT_EQ(questions->all.at(0).answers, (std::vector<std::string>{"very good"}));
    EXPECT_EQ(questions->all.at(0).context.substr(19), "very good");
    EXPECT_TRUE(has(inspected(), "answer \"very good\"")) << inspected();
    EXPECT_TRUE(has(inspected(), " => |very|good <= ")) << inspected();
}

TEST_F(PrepareTasks, AFileOfSquadHasItsQuestionsByNumber) {
    auto const set = made("question-answering", "squad.json", R"({"data": [{"paragraphs": [
        {"context": "the film is good", "qas": [
            {"id": "a", "question": "what", "answers": [{"text": "film", "answer_start": 4},
                                                          {"text": "the film", "answer_start": 0}]},
            {"id": "b", "question": "who", "is_impossible": true, "answers": []}]}]}]})");
    ASSERT_NE(set, nullptr);
    ASSERT_EQ(set->size(), 2);
    EXPECT_EQ(set->source(1), folder_.path() + "/squad.json:2");
    EXPECT_EQ(set->read({0}, 1).columns.labels_of(data::kAnswer), (Ids{4, 4}));
    EXPECT_EQ(set->read({1}, 1).columns.labels_of(data::kAnswer), (Ids{0, 0}));
    EXPECT_EQ(set->questions()->all.at(0).answers.size(), 2U);
    EXPECT_TRUE(set->questions()->all.at(1).answers.empty());
}

TEST_F(PrepareTasks, ALongContextBecomesWindowsOfOneQuestion) {
    auto const set =
        made("question-answering", "r.jsonl", kQuestion, {"--max-length", "10", "--stride", "1"});
    ASSERT_NE(set, nullptr);
    ASSERT_EQ(set->size(), 2);
    EXPECT_EQ(set->read({0}, 1).columns.labels_of(data::kAnswer), (Ids{0, 0}));
    auto const last = set->read({1}, 1);
    EXPECT_EQ(last.tokens, (Ids{2, 6, 18, 7, 3, 5, 6, 9, 7, 3}));
    EXPECT_EQ(last.columns.labels_of(data::kAnswer), (Ids{7, 8}));
    EXPECT_EQ(set->source(0), set->source(1));
    EXPECT_EQ(set->questions()->of_sample, (std::vector<std::int64_t>{0, 0}));
}

/// A folder with the tokenizer and a token for what is masked.
std::string masking_tokenizer(std::string const& folder) {
    auto json = nlohmann::json::parse(cluster::read_file(kTokenizer + "/tokenizer.json"));
    json["model"]["vocab"]["[MASK]"] = json["model"]["vocab"].size();
    std::filesystem::create_directories(folder);
    cluster::write_file(folder + "/tokenizer.json", json.dump());
    cluster::write_file(folder + "/tokenizer_config.json", R"({"mask_token": "[MASK]"})");
    return folder;
}

TEST_F(PrepareTasks, WordsToMaskAreCountedInEachWindow) {
    std::string const rows = file("r.jsonl", "{\"text\": \"the film is good very\"}\n");
    auto const said =
        run_command(trireme(0, {"prepare", "--task", "masked-language-modeling", "--tokenizer",
                                masking_tokenizer(out("tokenizer")), "--output", out(), "--train",
                                rows, "--max-length", "5"}));
    ASSERT_EQ(said.exit_code, 0) << said.output;
    auto const set = data::open_dataset(out(), "train");
    ASSERT_EQ(set->size(), 2);
    auto const second = set->read({1}, 1);
    EXPECT_EQ(second.tokens, (Ids{2, 7, 9, 3}));
    EXPECT_EQ(second.columns.labels_of(data::kWords), (Ids{-100, 0, 1, -100}));
    EXPECT_TRUE(has(inspected(), "3 words")) << inspected();
}

TEST_F(PrepareTasks, AWordInAWindowIsEnoughToMask) {
    std::string const rows = file("r.jsonl", "{\"text\": \"the film is good very\"}\n");
    auto const said =
        run_command(trireme(0, {"prepare", "--task", "masked-language-modeling", "--tokenizer",
                                masking_tokenizer(out("tokenizer")), "--output", out(), "--train",
                                rows, "--max-length", "3"}));
    ASSERT_EQ(said.exit_code, 0) << said.output;
    EXPECT_EQ(data::open_dataset(out(), "train")->size(), 5);
}

TEST_F(PrepareTasks, ALongTextBecomesWindowsOnRequest) {
    for (auto const& [task, rows] :
         {std::pair{"classification", "text,l\nthe film is good,a\nbad,b\n"},
          {"regression", "text,l\nthe film is good,1\nbad,2\n"},
          {"multi-label", "text,l\nthe film is good,a\nbad,b\n"}}) {
        std::vector<std::string> more{"--label", "l", "--max-length", "5", "--windows", "1"};
        if (std::string(task) == "multi-label") {
            more.emplace_back("--label-separator");
            more.emplace_back(";");
        }
        auto const set = made(task, "r.csv", rows, more, task);
        ASSERT_NE(set, nullptr);
        ASSERT_EQ(set->size(), 3) << task;
        EXPECT_EQ(set->read({0}, 1).tokens, (Ids{2, 4, 5, 6, 3}));
        EXPECT_EQ(set->read({1}, 1).tokens, (Ids{2, 6, 7, 3}));
        EXPECT_EQ(set->source(0), set->source(1));
        EXPECT_NE(set->source(1), set->source(2));
        EXPECT_TRUE(has(summary_words(), "1 longer than 5 tokens divided into windows"))
            << summary_words();
    }
}

} // namespace
} // namespace trireme::test
