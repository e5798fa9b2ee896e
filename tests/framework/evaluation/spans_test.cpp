// Entities against seqeval and answers against SQuAD's script (tests/golden/make_entity_scores.py),
// and answers of several windows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/evaluation/answers.hpp"
#include "framework/evaluation/metrics.hpp"
#include "framework/model/answers.hpp"
#include "framework/model/entities.hpp"

namespace trireme::framework::evaluation {
namespace {

nlohmann::json golden_file(std::string const& file) {
    return nlohmann::json::parse(cluster::read_file(TRIREME_GOLDEN "/" + file));
}

Outcome outcome_of(nlohmann::json const& row) {
    Outcome outcome{.findings = Findings::token_classes, .labels = row.at("names")};
    auto const id = [&](nlohmann::json const& name) {
        return static_cast<std::int32_t>(
            std::ranges::find(outcome.labels, name.get<std::string>()) - outcome.labels.begin());
    };
    for (std::size_t s = 0; s < row.at("labels").size(); ++s) {
        auto& sample = outcome.samples.emplace_back();
        for (std::size_t w = 0; w < row.at("labels")[s].size(); ++w) {
            auto const label = id(row.at("labels")[s][w]), found = id(row.at("predictions")[s][w]);
            outcome.words.insert(outcome.words.end(), {label, found});
            sample.trained += 1;
            sample.correct += label == found;
        }
    }
    return outcome;
}

TEST(Entities, HaveTheScoresOfSeqeval) {
    int rows = 0;
    for (auto const& row : golden_file("entities.json")) {
        Metrics const found = summarize(outcome_of(row));
        for (char const* name : {"accuracy", "precision", "recall", "f1", "macro_f1", "strict_f1"})
            EXPECT_NEAR(found.value(name), row.at(name).get<double>(), 1e-12) << name << row;
        ASSERT_EQ(found.to_json().at("entities").size(), row.at("entities").size()) << row;
        for (auto const& [type, scores] : row.at("entities").items())
            for (auto const& [name, value] : scores.items())
                EXPECT_NEAR(found.to_json().at("entities").at(type).at(name).get<double>(),
                            value.get<double>(), 1e-12)
                    << type << " " << name << row;
        ++rows;
    }
    EXPECT_EQ(rows, 48);
}

TEST(Answers, HaveTheScoresOfSquad) {
    int rows = 0;
    for (auto const& row : golden_file("answers.json")) {
        auto const score = score_of_answer(row.at("given").get<std::string>(), row.at("answers"));
        EXPECT_EQ(nlohmann::json(words_of_answer(row.at("given").get<std::string>())),
                  row.at("words"))
            << row;
        EXPECT_EQ(score.exact, row.at("exact").get<double>()) << row;
        EXPECT_NEAR(score.f1, row.at("f1").get<double>(), 1e-12) << row;
        ++rows;
    }
    EXPECT_EQ(rows, 20);
}

TEST(Entities, HaveTypesOfWholeCharacters) {
    std::vector<std::string> const labels{"\xE5\x90\x8D\xE8\xA9\x9E", "O", "\xC3\xA9"};
    auto const found = model::entities_of(labels);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].type, "\xE8\xA9\x9E") << "what follows the first character";
    EXPECT_EQ(found[1].type, "_") << "nothing follows it";
}

/// Spans of one window: what token 0 has, then these.
void add_window(Outcome& outcome, float none, std::vector<model::AnswerSpan> spans) {
    auto& sample = outcome.samples.emplace_back();
    sample.sample = std::ssize(outcome.samples) - 1;
    sample.trained = 2;
    spans.insert(spans.begin(), {none});
    spans.resize(model::kSpansOfWindow);
    outcome.spans.insert(outcome.spans.end(), spans.begin(), spans.end());
}

TEST(Answers, AreTheBestOverTheWindowsOfAQuestionUnlessNoneScoresHigher) {
    data::Questions questions{{{"f:1", "first", "Ada saw Bob", {"Bob"}},
                               {"f:2", "second", "nobody came", {}},
                               {"f:3", "third", "cut away", {"away"}}},
                              {0, 1, 0}};
    Outcome outcome{.findings = Findings::answers, .questions = &questions};
    add_window(outcome, 1, {{4, 0, 3}, {2, 4, 11}});
    add_window(outcome, 3, {{2.5, 0, 6}});
    add_window(outcome, 6, {{5, 8, 11}, {3, 0, 3}});
    auto const found = answers_of(outcome);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].text, "Bob");
    EXPECT_EQ(found[0].null_score, 1) << "the window that speaks most against none";
    EXPECT_EQ(found[0].windows, (std::vector<std::int64_t>{0, 2}));
    ASSERT_EQ(found[0].candidates.size(), 3U) << "a stretch of two windows stands once";
    EXPECT_EQ(found[0].candidates[1].text, "Ada");
    EXPECT_EQ(found[0].candidates[1].score, 4);
    double const all = std::exp(5) + std::exp(4) + std::exp(2) + std::exp(1);
    EXPECT_NEAR(found[0].candidates[0].probability, std::exp(5) / all, 1e-12);
    EXPECT_EQ(found[1].text, "") << "none scores higher";
    EXPECT_EQ(found[2].text, "") << "it has no window";
    EXPECT_NEAR(answer_exact_match(outcome), 2.0 / 3, 1e-12);
    EXPECT_NEAR(answer_f1_where_there(outcome), 0.5, 1e-12);
    EXPECT_EQ(answer_f1_where_none(outcome), 1);

    // No null score counts where every question has an answer.
    questions.all[1].answers = {"nobody"};
    EXPECT_EQ(answers_of(outcome)[1].text, "nobody");
    EXPECT_TRUE(std::isnan(answer_f1_where_none(outcome)));

    outcome.spans[1].score = NAN;
    EXPECT_EQ(answers_of(outcome)[0].candidates[1].score, 3) << "a score that is no number is none";
    outcome.spans[1].score = 4;

    outcome.spans[1].end = 12;
    EXPECT_THROW(answers_of(outcome), cluster::JobError) << "after the end of the context";
}

TEST(Answers, AreStretchesOfTheContextAlone) {
    // tokens: special, question, three of the context, special
    std::vector<float> const logits{0, 1, 9, 9, 1, 0, 2, 3, 0, 4, 8, 8};
    std::vector<std::int32_t> const bytes{-100, -100, -100, -100, 0, 2, 3, 5, 6, 9, -100, -100};
    std::vector<model::AnswerSpan> spans;
    model::best_spans(logits, bytes, spans);
    ASSERT_EQ(spans.size(), model::kSpansOfWindow);
    EXPECT_EQ(spans[0].score, 1);
    EXPECT_EQ(spans[1].score, 6) << "2 + 4";
    EXPECT_EQ(spans[1].first, 3);
    EXPECT_EQ(spans[1].end, 9);
    EXPECT_EQ(spans[2].score, 5);
    EXPECT_EQ(spans[2].first, 0) << "1 + 4, before 2 + 3";
    EXPECT_EQ(spans[6].score, 1) << "the last of six";
    EXPECT_EQ(spans[7].first, -1);
}

} // namespace
} // namespace trireme::framework::evaluation
