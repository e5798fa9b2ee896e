// Classes of words and answers in a context through the command: from a table to an export, in any
// layout.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "tests/parity/task_command.hpp"

namespace trireme::test {
namespace {

std::string const kGolden = TRIREME_GOLDEN;

struct TokenTask {
    char const *name, *class_of_transformers, *head, *metric;
    std::vector<std::string> metrics;
};
TokenTask const kWords{"token-classification",
                       "BertForTokenClassification",
                       "token classifier",
                       "f1",
                       {"accuracy", "precision", "recall", "f1", "macro_f1", "strict_f1"}};
TokenTask const kAnswers{"question-answering",
                         "BertForQuestionAnswering",
                         "answer finder",
                         "f1",
                         {"exact_match", "f1", "has_answer_f1", "no_answer_f1"}};

class TokenCommand : public TaskCommand, public testing::TestWithParam<TokenTask const*> {
  protected:
    void SetUp() override {
        std::string rows;
        for (int i = 0; i < 47; ++i) rows += (&task() == &kWords ? words(i) : question(i)) + "\n";
        for (char const* name : {"rows.jsonl", "validation.jsonl"})
            cluster::write_file(path(name), rows);
        Outcome const prepared = run_command(
            trireme(0, {"prepare", "--task", task().name, "--tokenizer", kGolden + "/tokenizer",
                        "--max-length", "16", "--output", path("data"), "--train",
                        path("rows.jsonl"), "--validation", path("validation.jsonl")}));
        ASSERT_EQ(prepared.exit_code, 0) << prepared.output;
        write_yaml();
    }
    TokenTask const& task() const { return *GetParam(); }

    static std::vector<std::string> text(int i) {
        constexpr std::array kTexts{"the", "film", "is", "good", "bad", "plot", "actors", "boring"};
        std::vector<std::string> text;
        for (int w = 0; w < 2 + i % 7; ++w)
            text.emplace_back(kTexts[static_cast<std::size_t>(i * 3 + w * 5) % kTexts.size()]);
        return text;
    }
    static std::string words(int i) {
        auto const tokens = text(i);
        std::vector<std::string> tags;
        for (auto const& word : tokens)
            tags.emplace_back(word == "film" || word == "plot"  ? "B-THING"
                              : word == "good" || word == "bad" ? "B-VIEW"
                                                                : "O");
        return nlohmann::json{{"tokens", tokens}, {"tags", tags}}.dump();
    }
    static std::string question(int i) {
        std::string context;
        for (int k = 0; k < 2; ++k)
            for (auto const& word : text(i + k)) context += (context.empty() ? "" : " ") + word;
        auto const at = context.find(i % 2 ? "film" : "plot");
        nlohmann::json answers{{"text", nlohmann::json::array()},
                               {"answer_start", nlohmann::json::array()}};
        if (at != std::string::npos) {
            answers["text"].push_back(context.substr(at, 4));
            answers["answer_start"].push_back(at);
        }
        return nlohmann::json{{"id", std::to_string(i)},
                              {"question", i % 2 ? "the film" : "the plot"},
                              {"context", context},
                              {"answers", answers}}
            .dump();
    }
    void write_yaml() const {
        cluster::write_file(
            path("run.yaml"),
            "run: " + path("run") + "\ntask: " + task().name + "\nmodel:\n  path: " + kGolden +
                "/bert\ndata:\n  path: " + path("data") +
                "\nbatch:\n  global: 11\n  tokens_per_micro_batch: 40\nnumerics:\n  mode: "
                "bitwise\n  threads: 1\noptimizer:\n  learning_rate: 3e-3\ntrain:\n  "
                "steps: 12\nevaluation:\n  metric: " +
                task().metric + "\n");
    }
};

TEST_P(TokenCommand, HasOneHashInEveryLayoutAndExactMetrics) {
    std::string const alone = train(1, {}, "one", "f1 ");
    ASSERT_EQ(alone.size(), 64U);
    EXPECT_EQ(train(2, {}, "two", "f1 "), alone);
    EXPECT_EQ(train(4, {"parallel.pipeline=2", "parallel.zero=1"}, "pipeline", "f1 "), alone);
    ASSERT_EQ(run_command(trireme(0, {"export", "--run", path("two"), "--output", path("model")}))
                  .exit_code,
              0);
    auto const config = nlohmann::json::parse(cluster::read_file(path("model/config.json")));
    EXPECT_EQ(config.at("architectures"), nlohmann::json::array({task().class_of_transformers}));
    EXPECT_FALSE(config.contains("problem_type"));

    auto const first = evaluate(1, {}, "p1");
    for (auto const& name : task().metrics) EXPECT_TRUE(first.at(name).is_number()) << name;
    for (auto const& [ranks, set] : std::vector<std::pair<int, std::vector<std::string>>>{
             {2, {}}, {4, {"parallel.pipeline=2"}}}) {
        std::string const name = "p" + std::to_string(ranks);
        EXPECT_EQ(evaluate(ranks, set, name), first) << name;
        EXPECT_EQ(cluster::read_file(path(name)), cluster::read_file(path("p1")));
    }
    auto const tensor = evaluate(2, {"parallel.tensor=2"}, "tensor");
    EXPECT_NEAR(tensor.at("loss"), first.at("loss"), 1e-5);

    auto const lines = lines_of("p1");
    EXPECT_EQ(lines.size(), 47U) << "a line for each text, or question with all its windows";
    double right = 0, words = 0;
    for (auto const& line : lines) {
        EXPECT_NE(line.at("source").get<std::string>().find("validation.jsonl:"),
                  std::string::npos);
        if (&task() == &kWords)
            for (std::size_t i = 0; i < line.at("labels").size(); ++i, ++words)
                right += line.at("labels")[i] == line.at("predictions")[i];
        else
            ++words, right += line.at("exact").get<bool>();
    }
    EXPECT_NEAR(first.at(&task() == &kWords ? "accuracy" : "exact_match"), right / words, 1e-12);

    Outcome const verified = run_command(trireme(2, {"verify", path("model")}));
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
    Outcome const generated =
        run_command(trireme(0, {"generate", path("model"), "--prompt", "the film"}));
    EXPECT_EQ(generated.exit_code, 2) << generated.output;
}

TEST_P(TokenCommand, EveryLayoutComputesOneAndTheSameThing) {
    Outcome const proved = run_command(trireme(2, {"parity", path("run.yaml")}));
    EXPECT_EQ(proved.exit_code, 0) << proved.output;
    EXPECT_NE(proved.output.find("parity: passed"), std::string::npos) << proved.output;
    EXPECT_NE(proved.output.find(task().head), std::string::npos) << proved.output;
}

INSTANTIATE_TEST_SUITE_P(Tasks, TokenCommand, testing::Values(&kWords, &kAnswers),
                         [](auto const& tested) {
                             std::string name = tested.param->name;
                             std::erase(name, '-');
                             return name;
                         });

} // namespace
} // namespace trireme::test
