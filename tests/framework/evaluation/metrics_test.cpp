// Metrics against scikit-learn's and scipy's (tests/golden/make_metrics.py), and what depends on no
// table.
#include "framework/evaluation/metrics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/evaluation/documents.hpp"
#include "framework/evaluation/score_metrics.hpp"

namespace trireme::framework::evaluation {
namespace {

nlohmann::json golden() {
    return nlohmann::json::parse(cluster::read_file(TRIREME_GOLDEN "/metrics.json"));
}

/// Compares every metric of a golden row; its other keys are `inputs`. Null: the metric is not
/// defined.
void expect_golden(Metrics const& found, nlohmann::json const& row,
                   std::set<std::string> const& inputs) {
    int compared = 0;
    for (auto const& [name, value] : row.items()) {
        if (inputs.contains(name)) continue;
        if (value.is_null())
            EXPECT_TRUE(std::isnan(found.value(name))) << name << " " << row;
        else
            EXPECT_NEAR(found.value(name), value.get<double>(), 1e-12) << name << " " << row;
        EXPECT_EQ(found.to_json().at(name).is_null(), value.is_null());
        ++compared;
    }
    EXPECT_GE(compared, 2) << row;
}

TEST(Metrics, OfClassesAreThoseOfScikitLearn) {
    auto const all = golden();
    int rows = 0;
    for (auto const& row : all.at("cases")) {
        Outcome outcome{.findings = Findings::classes, .outputs = row.at("classes")};
        for (std::size_t i = 0; i < row.at("labels").size(); ++i) {
            auto& r = outcome.samples.emplace_back();
            r.label = row.at("labels")[i];
            r.prediction = row.at("predictions")[i];
            r.trained = 1;
            r.correct = r.label == r.prediction;
        }
        Metrics const found = summarize(outcome);
        expect_golden(found, row, {"classes", "labels", "predictions", "confusion", "of_classes"});
        EXPECT_EQ(nlohmann::json(found.confusion), row.at("confusion"));
        auto const scores = class_scores(found.confusion);
        auto const& right = row.at("of_classes");
        auto const same = [&](double value, nlohmann::json const& wanted) {
            return wanted.is_null() ? std::isnan(value)
                                    : std::abs(value - wanted.get<double>()) < 1e-12;
        };
        for (std::size_t c = 0; c < scores.size(); ++c) {
            EXPECT_TRUE(same(scores[c].precision, right.at("precision")[c])) << c << row;
            EXPECT_TRUE(same(scores[c].recall, right.at("recall")[c])) << c << row;
            EXPECT_TRUE(same(scores[c].f1, right.at("f1")[c])) << c << row;
            EXPECT_EQ(static_cast<double>(scores[c].support), right.at("support")[c].get<double>());
        }
        ++rows;
    }
    EXPECT_EQ(rows, 6);
}

TEST(Metrics, OfProbabilitiesAreThoseOfScikitLearnAndOfGuosFormula) {
    auto const all = golden();
    int rows = 0;
    for (auto const& row : all.at("scores")) {
        Outcome outcome{.findings = Findings::classes, .outputs = row.at("classes")};
        outcome.logits = row.at("logits").get<std::vector<float>>();
        for (std::size_t i = 0; i < row.at("labels").size(); ++i) {
            auto const first =
                outcome.logits.begin() + static_cast<std::int64_t>(i) * outcome.outputs;
            auto& r = outcome.samples.emplace_back();
            r.label = row.at("labels")[i];
            r.prediction =
                static_cast<std::int32_t>(std::max_element(first, first + outcome.outputs) - first);
            r.trained = 1;
            r.correct = r.label == r.prediction;
        }
        Metrics const found = summarize(outcome);
        expect_golden(found, row, {"classes", "labels", "logits", "reliability"});
        EXPECT_EQ(found.text().find("mcc"), std::string::npos) << "a line stays short";
        EXPECT_NE(found.text("mcc").find(", mcc "), std::string::npos) << "but for what decides";
        nlohmann::json const bins = reliability_to_json(found.reliability);
        ASSERT_EQ(bins.size(), row.at("reliability").size());
        for (std::size_t b = 0; b < bins.size(); ++b)
            for (auto const& [name, value] : row.at("reliability")[b].items()) {
                auto const& ours = bins[b].at(name);
                ASSERT_EQ(ours.is_null(), value.is_null()) << name << b;
                if (!value.is_null()) {
                    EXPECT_NEAR(ours.get<double>(), value.get<double>(), 1e-12) << name << b;
                }
            }
        ++rows;
    }
    EXPECT_EQ(rows, 6);
}

TEST(Metrics, OfSetsOfLabelsAreThoseOfScikitLearn) {
    auto const all = golden();
    int rows = 0;
    for (auto const& row : all.at("sets")) {
        Outcome outcome{.findings = Findings::label_sets, .outputs = row.at("outputs")};
        outcome.logits = row.at("found").get<std::vector<float>>();
        outcome.targets = row.at("targets").get<std::vector<float>>();
        for (std::size_t k = 0; k < outcome.targets.size(); ++k) {
            if (k % static_cast<std::size_t>(outcome.outputs) == 0) outcome.samples.emplace_back();
            ++outcome.samples.back().trained;
            outcome.samples.back().correct += (outcome.logits[k] >= 0) == (outcome.targets[k] > 0);
        }
        Metrics const found = summarize(outcome);
        expect_golden(found, row, {"outputs", "targets", "found"});
        ++rows;
    }
    EXPECT_EQ(rows, 4);
}

/// Finds document after document where the golden row has it.
TEST(Metrics, OutputsOfWindowsBecomeThoseOfTheirDocumentsAsNumpyPoolsThem) {
    auto const all = golden();
    int rows = 0;
    for (auto const& row : all.at("windows")) {
        SCOPED_TRACE(row.dump().substr(0, 80));
        std::string const kind = row.at("kind");
        Outcome found{.findings = kind == "classes"      ? Findings::classes
                                  : kind == "label_sets" ? Findings::label_sets
                                                         : Findings::numbers,
                      .outputs = row.at("outputs")};
        found.logits = row.at("logits").get<std::vector<float>>();
        std::vector<std::int64_t> first;
        for (std::size_t d = 0; d < row.at("sizes").size(); ++d) {
            first.push_back(std::ssize(found.samples));
            auto const own = row.at("own")[d].get<std::vector<float>>();
            for (int w = 0; w < row.at("sizes")[d].get<int>(); ++w) {
                auto& sample = found.samples.emplace_back();
                sample.sample = std::ssize(found.samples) - 1;
                if (kind == "classes")
                    sample.label = static_cast<std::int32_t>(own.at(0));
                else
                    found.targets.insert(found.targets.end(), own.begin(), own.end());
            }
        }
        Outcome const documents =
            pool_windows(found, first, row.at("pooling") == "mean" ? Pooling::mean : Pooling::max);
        ASSERT_EQ(documents.samples.size(), first.size());
        EXPECT_EQ(documents.logits, row.at("pooled").get<std::vector<float>>());
        for (std::size_t d = 0; d < first.size(); ++d) {
            auto const& sample = documents.samples[d];
            EXPECT_EQ(sample.sample, first[d]);
            EXPECT_NEAR(sample.loss, row.at("losses")[d].get<double>(), 1e-9);
            EXPECT_EQ(sample.correct, row.at("correct")[d].get<std::int64_t>());
            EXPECT_EQ(sample.trained, kind == "classes" ? 1 : 3);
        }
        EXPECT_EQ(summarize(documents).samples, std::ssize(first));
        ++rows;
    }
    EXPECT_EQ(rows, 6);
}

TEST(Metrics, OfClassesStandByTheirNames) {
    auto const json =
        classes_to_json({{2, 0, 1}, {1, 0, 0}, {0, 0, 0}}, {"bad", "so \"so\"", "good"});
    EXPECT_EQ(
        json.dump(),
        R"({"classes":{"bad":{"precision":0.6666666666666666,"recall":0.6666666666666666,)"
        R"("f1":0.6666666666666666,"support":3},"so \"so\"":{"precision":null,"recall":0.0,)"
        R"("f1":0.0,"support":1},"good":{"precision":0.0,"recall":null,"f1":0.0,"support":0}},)"
        R"("labels":["bad","so \"so\"","good"]})");
}

TEST(Metrics, OfNumbersAreThoseOfScikitLearnAndScipy) {
    auto const all = golden();
    int rows = 0;
    for (auto const& row : all.at("numbers")) {
        Outcome outcome{.findings = Findings::numbers, .outputs = row.at("outputs")};
        outcome.logits = row.at("found").get<std::vector<float>>();
        outcome.targets = row.at("targets").get<std::vector<float>>();
        Metrics const found = summarize(outcome);
        expect_golden(found, row, {"outputs", "targets", "found"});
        ++rows;
    }
    EXPECT_EQ(rows, 8);
}

TEST(Metrics, OfTextsAreThoseOfScikitLearn) {
    auto const all = golden();
    auto const& row = all.at("texts");
    Outcome outcome;
    for (double const loss : row.at("losses"))
        outcome.samples.push_back({.loss = loss, .trained = 1});
    Metrics const found = summarize(outcome);
    EXPECT_NEAR(found.value("loss"), row.at("loss").get<double>(), 1e-12);
    EXPECT_NEAR(found.value("perplexity"), row.at("perplexity").get<double>(), 1e-12);
}

TEST(Metrics, ATargetThatIsMissingCountsNothing) {
    float const none = std::numeric_limits<float>::quiet_NaN();
    Outcome outcome{.findings = Findings::numbers, .outputs = 2};
    outcome.targets = {1, none, 2, 0, 4, 1, 4, 3};
    outcome.logits = {1, 99, 3, 0, 4, 2, 5, 3};
    Metrics const with = summarize(outcome);
    EXPECT_DOUBLE_EQ(with.value("mse"), 3.0 / 7.0);
    outcome.targets[1] = 50;
    EXPECT_NE(summarize(outcome).value("pearson"), with.value("pearson"));
}

TEST(Metrics, OfTextsAreMeansOverLabelsNotOverSamples) {
    Metrics const found =
        summarize({.samples = {{.sample = 0, .loss = 6, .trained = 3, .correct = 1},
                               {.sample = 1, .loss = 12, .trained = 1, .correct = 0},
                               {.sample = 2}}});
    EXPECT_EQ(found.samples, 3);
    EXPECT_DOUBLE_EQ(found.value("loss"), 4.5);
    EXPECT_DOUBLE_EQ(found.value("accuracy"), 0.25);
    EXPECT_TRUE(found.confusion.empty());
}

TEST(Metrics, TheBestHasTheLeastLossOrTheMostOfTheOthers) {
    double const none = std::numeric_limits<double>::quiet_NaN();
    for (char const* error : {"loss", "perplexity", "mse", "calibration_error"})
        EXPECT_EQ(std::ranges::find(metrics(), std::string(error), &Metric::name)->better,
                  Metric::Better::smaller);
    for (char const* share :
         {"accuracy", "f1", "micro_f1", "exact_match", "mcc", "roc_auc", "pearson", "spearman"})
        EXPECT_EQ(std::ranges::find(metrics(), std::string(share), &Metric::name)->better,
                  Metric::Better::larger);
    for (auto const& metric : metrics()) {
        std::string const name = metric.name;
        bool const least = metric.better == Metric::Better::smaller;
        EXPECT_EQ(is_better(metric, 1, 2), least) << name;
        EXPECT_EQ(is_better(metric, 2, 1), !least) << name;
        EXPECT_FALSE(is_better(metric, 1, 1)) << name;
        EXPECT_FALSE(is_better(metric, none, 1)) << name;
        EXPECT_TRUE(is_better(metric, 1, none)) << name << ": a first one that is no number";
    }
}

TEST(Metrics, WhatIsNoNumberHasNoRank) {
    double const none = std::numeric_limits<double>::quiet_NaN();
    auto const ranks = ranks_of({4, none, 2, 4});
    EXPECT_EQ(ranks[0], 2.5);
    EXPECT_TRUE(std::isnan(ranks[1]));
    EXPECT_EQ(ranks[2], 1);
    EXPECT_EQ(ranks[3], 2.5);
}

TEST(Metrics, OneThatATaskDoesNotHaveIsRefusedWithThoseThatItHas) {
    EXPECT_STREQ(metric_named("f1", Findings::classes, "here").name, "f1");
    auto const refusal = [](std::string const& name, Findings findings) -> std::string {
        try {
            metric_named(name, findings, "evaluation.metric");
        } catch (cluster::InputError const& error) {
            return error.what();
        }
        return "accepted";
    };
    EXPECT_EQ(refusal("f1", Findings::next_tokens),
              "evaluation.metric: f1: legal: loss, accuracy, perplexity");
    EXPECT_TRUE(refusal("accuracy", Findings::numbers)
                    .starts_with("evaluation.metric: accuracy: legal: loss, mse"));
    EXPECT_TRUE(refusal("bleu", Findings::classes)
                    .starts_with("evaluation.metric: bleu: legal: loss, accuracy, f1"));
}

} // namespace
} // namespace trireme::framework::evaluation
