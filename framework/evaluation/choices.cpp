#include "framework/evaluation/choices.hpp"

#include <algorithm>
#include <cmath>

#include "cluster/error.hpp"

namespace trireme::framework::evaluation {

namespace {

std::int64_t first_of_largest(std::vector<double> const& values) {
    return std::ranges::max_element(values) - values.begin();
}

std::int64_t samples_of(ChoiceQuestion const& question, std::size_t choice) {
    return question.samples.empty() ? 1 : question.samples.at(choice);
}

std::int64_t samples_of(ChoiceQuestion const& question) {
    std::int64_t all = 0;
    for (std::size_t c = 0; c < question.bytes.size(); ++c) all += samples_of(question, c);
    return all;
}

RankedChoices rank(ChoiceQuestion const& question, model::SampleResult const* samples) {
    RankedChoices ranked;
    std::vector<double> per_byte;
    for (std::size_t c = 0; c < question.bytes.size(); ++c) {
        double score = 0;
        for (std::int64_t s = 0; s < samples_of(question, c); ++s) score -= (samples++)->loss;
        ranked.scores.push_back(score);
        per_byte.push_back(score / static_cast<double>(question.bytes[c]));
    }
    ranked.best = first_of_largest(ranked.scores);
    ranked.best_per_byte = first_of_largest(per_byte);
    return ranked;
}

/// -log of the probability of a choice among the choices.
double loss_among(std::vector<double> const& scores, std::int64_t right) {
    double const most = *std::ranges::max_element(scores);
    double sum = 0;
    for (double const score : scores) sum += std::exp(score - most);
    return most + std::log(sum) - scores[static_cast<std::size_t>(right)];
}

/// The outcome of a classifier.
Outcome as_classes(std::vector<ChoiceQuestion> const& questions,
                   std::vector<RankedChoices> const& ranked,
                   std::vector<std::string> const& labels) {
    Outcome outcome{.findings = Findings::classes, .outputs = std::ssize(labels)};
    for (std::size_t q = 0; q < questions.size(); ++q) {
        auto const right = questions[q].right;
        outcome.samples.push_back({.sample = static_cast<std::int64_t>(q),
                                   .loss = loss_among(ranked[q].scores, right),
                                   .trained = 1,
                                   .correct = ranked[q].best == right,
                                   .label = static_cast<std::int32_t>(right),
                                   .prediction = static_cast<std::int32_t>(ranked[q].best)});
        for (double const score : ranked[q].scores)
            outcome.logits.push_back(static_cast<float>(score));
    }
    return outcome;
}

} // namespace

std::vector<RankedChoices> rank_choices(std::vector<ChoiceQuestion> const& questions,
                                        std::vector<model::SampleResult> const& samples) {
    std::int64_t wanted = 0;
    for (auto const& question : questions) wanted += samples_of(question);
    if (wanted != std::ssize(samples))
        throw cluster::JobError("evaluation saw " + std::to_string(samples.size()) +
                                " results for " + std::to_string(wanted) + " samples of choices");
    std::vector<RankedChoices> ranked;
    std::int64_t first = 0;
    for (auto const& question : questions) {
        ranked.push_back(rank(question, samples.data() + first));
        first += samples_of(question);
    }
    return ranked;
}

Metrics summarize_choices(std::vector<ChoiceQuestion> const& questions,
                          std::vector<RankedChoices> const& ranked,
                          std::vector<std::string> const& labels) {
    std::int64_t right = 0, right_per_byte = 0;
    for (std::size_t q = 0; q < questions.size(); ++q) {
        right += ranked[q].best == questions[q].right;
        right_per_byte += ranked[q].best_per_byte == questions[q].right;
    }
    auto const share = [&](std::int64_t count) {
        return static_cast<double>(count) / static_cast<double>(questions.size());
    };
    Metrics metrics;
    metrics.samples = std::ssize(questions);
    if (labels.empty())
        metrics.values = {{"accuracy", share(right)}};
    else
        metrics = summarize(as_classes(questions, ranked, labels));
    metrics.values.emplace_back("accuracy_per_byte", share(right_per_byte));
    return metrics;
}

nlohmann::ordered_json to_json(ChoiceQuestion const& question, RankedChoices const& ranked,
                               std::vector<std::string> const& labels) {
    auto const name = [&](std::int64_t choice) {
        return labels.empty() ? nlohmann::ordered_json(choice)
                              : nlohmann::ordered_json(labels.at(static_cast<std::size_t>(choice)));
    };
    return {{"source", question.source},
            {"label", name(question.right)},
            {"prediction", name(ranked.best)},
            {"prediction_per_byte", name(ranked.best_per_byte)},
            {"scores", ranked.scores}};
}

} // namespace trireme::framework::evaluation
