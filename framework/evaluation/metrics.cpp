#include "framework/evaluation/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "cluster/counted.hpp"
#include "cluster/error.hpp"
#include "framework/evaluation/answers.hpp"
#include "framework/evaluation/entity_metrics.hpp"
#include "framework/evaluation/score_metrics.hpp"

namespace trireme::framework::evaluation {

namespace {

using Better = Metric::Better;

template <typename Member>
double share_of_trained(Outcome const& outcome, Member member) {
    double sum = 0;
    std::int64_t trained = 0;
    for (auto const& r : outcome.samples) {
        sum += static_cast<double>(r.*member);
        trained += r.trained;
    }
    return trained == 0 ? 0 : sum / static_cast<double>(trained);
}

double loss(Outcome const& outcome) {
    return share_of_trained(outcome, &model::SampleResult::loss);
}
double perplexity(Outcome const& outcome) {
    return std::exp(loss(outcome));
}
double accuracy(Outcome const& outcome) {
    return share_of_trained(outcome, &model::SampleResult::correct);
}

/// Mean over classes. As in scikit-learn, over those that occur or are predicted.
double macro_f1(Outcome const& outcome) {
    double sum = 0;
    std::int64_t seen = 0;
    for (auto const& scores : class_scores(confusion_of(outcome))) {
        if (std::isnan(scores.f1)) continue;
        ++seen;
        sum += scores.f1;
    }
    return seen ? sum / static_cast<double>(seen) : 0;
}

/// part / whole; not a number if there is nothing to divide by.
double share(std::int64_t part, std::int64_t whole) {
    return whole ? static_cast<double>(part) / static_cast<double>(whole)
                 : std::numeric_limits<double>::quiet_NaN();
}

nlohmann::ordered_json or_null(double value) {
    return std::isfinite(value) ? nlohmann::ordered_json(value) : nullptr;
}

double mean_squared_error(Outcome const& outcome) {
    double sum = 0;
    std::int64_t count = 0;
    for (std::int64_t output = 0; output < outcome.outputs; ++output) {
        Pairs const pairs = pairs_of(outcome, output);
        for (std::size_t i = 0; i < pairs.found.size(); ++i)
            sum += (pairs.found[i] - pairs.targets[i]) * (pairs.found[i] - pairs.targets[i]);
        count += std::ssize(pairs.found);
    }
    return count ? sum / static_cast<double>(count) : 0;
}

double mean_of(std::vector<double> const& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Pearson's correlation; not a number if either does not vary.
double correlation(std::vector<double> const& x, std::vector<double> const& y) {
    double const mean_x = mean_of(x), mean_y = mean_of(y);
    double product = 0, square_x = 0, square_y = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        product += (x[i] - mean_x) * (y[i] - mean_y);
        square_x += (x[i] - mean_x) * (x[i] - mean_x);
        square_y += (y[i] - mean_y) * (y[i] - mean_y);
    }
    return std::clamp(product / std::sqrt(square_x * square_y), -1.0, 1.0);
}

/// Mean over outputs.
template <typename F>
double over_outputs(Outcome const& outcome, F const& f) {
    double sum = 0;
    for (std::int64_t output = 0; output < outcome.outputs; ++output)
        sum += f(pairs_of(outcome, output));
    return sum / static_cast<double>(outcome.outputs);
}
double pearson(Outcome const& outcome) {
    return over_outputs(outcome, [](Pairs const& p) { return correlation(p.targets, p.found); });
}
double spearman(Outcome const& outcome) {
    return over_outputs(outcome, [](Pairs const& p) {
        return correlation(ranks_of(p.targets), ranks_of(p.found));
    });
}

double mean_of_completions(Outcome const& outcome, double CompletionScores::*score) {
    double sum = 0;
    for (auto const& scores : outcome.completions) sum += scores.*score;
    return sum / static_cast<double>(outcome.completions.size());
}
double completed_exactly(Outcome const& outcome) {
    return mean_of_completions(outcome, &CompletionScores::exact_match);
}
double completed_rouge_l(Outcome const& outcome) {
    return mean_of_completions(outcome, &CompletionScores::rouge_l);
}

} // namespace

std::vector<Metric> const& metrics() {
    using enum model::Findings;
    static std::vector<Metric> const table{
        {"loss",
         Better::smaller,
         {next_tokens, classes, numbers, label_sets, token_classes, answers},
         loss},
        {"accuracy", Better::larger, {next_tokens, classes, label_sets, token_classes}, accuracy},
        {"f1", Better::larger, {classes}, macro_f1},
        {"f1", Better::larger, {label_sets}, label_macro_f1},
        {"micro_f1", Better::larger, {label_sets}, label_micro_f1},
        {"exact_match", Better::larger, {label_sets}, exact_match},
        {"precision", Better::larger, {token_classes}, entity_precision},
        {"recall", Better::larger, {token_classes}, entity_recall},
        {"f1", Better::larger, {token_classes}, entity_f1},
        {"macro_f1", Better::larger, {token_classes}, entity_macro_f1, false},
        {"strict_f1", Better::larger, {token_classes}, entity_strict_f1, false},
        {"exact_match", Better::larger, {answers}, answer_exact_match},
        {"f1", Better::larger, {answers}, answer_f1},
        {"has_answer_f1", Better::larger, {answers}, answer_f1_where_there, false},
        {"no_answer_f1", Better::larger, {answers}, answer_f1_where_none, false},
        {"mcc", Better::larger, {classes}, matthews_correlation, false},
        {"roc_auc", Better::larger, {classes}, class_roc_auc, false},
        {"roc_auc", Better::larger, {label_sets}, label_roc_auc, false},
        {"calibration_error", Better::smaller, {classes}, calibration_error, false},
        {"perplexity", Better::smaller, {next_tokens}, perplexity},
        {"exact_match", Better::larger, {next_tokens}, completed_exactly, true, true},
        {"rouge_l", Better::larger, {next_tokens}, completed_rouge_l, true, true},
        {"mse", Better::smaller, {numbers}, mean_squared_error},
        {"pearson", Better::larger, {numbers}, pearson},
        {"spearman", Better::larger, {numbers}, spearman},
    };
    return table;
}

Metric const& metric_named(std::string const& name, Findings findings, std::string const& place,
                           bool completes) {
    std::string legal;
    for (auto const& metric : metrics()) {
        if (std::ranges::find(metric.of, findings) == metric.of.end() ||
            (metric.of_completions && !completes))
            continue;
        if (name == metric.name) return metric;
        legal += (legal.empty() ? "" : ", ") + std::string(metric.name);
    }
    throw cluster::InputError(fmt::format("{}: {}: legal: {}", place, name, legal));
}

double Metrics::value(std::string const& name) const {
    for (auto const& [known, value] : values)
        if (known == name) return value;
    throw std::out_of_range("no metric " + name);
}

nlohmann::ordered_json Metrics::to_json() const {
    nlohmann::ordered_json json{{"samples", samples}};
    for (auto const& [name, value] : values) json[name] = or_null(value);
    if (!confusion.empty()) json["confusion"] = confusion;
    if (entities) json["entities"] = evaluation::to_json(*entities);
    return json;
}

std::string Metrics::text(std::string const& chosen) const {
    std::string text;
    for (auto const& [name, value] : values)
        if (name == chosen || std::ranges::find(metrics(), name, &Metric::name)->in_text)
            text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name,
                                cluster::unsigned_nan(value));
    return text;
}

Metrics summarize(Outcome const& outcome) {
    Metrics found;
    found.samples = std::ssize(outcome.samples);
    for (auto const& metric : metrics())
        if (std::ranges::find(metric.of, outcome.findings) != metric.of.end() &&
            (!metric.of_completions || !outcome.completions.empty()))
            found.values.emplace_back(metric.name, metric.value(outcome));
    if (outcome.findings == Findings::classes) {
        found.confusion = confusion_of(outcome);
        found.reliability = reliability_of(outcome);
    }
    if (outcome.findings == Findings::token_classes) {
        auto const scores = entity_scores(outcome);
        found.entities.emplace(scores.begin(), scores.end());
    }
    return found;
}

std::vector<ClassScores> class_scores(std::vector<std::vector<std::int64_t>> const& confusion) {
    std::vector<ClassScores> scores(confusion.size());
    for (std::size_t c = 0; c < confusion.size(); ++c) {
        std::int64_t labelled = 0, predicted = 0;
        for (std::size_t k = 0; k < confusion.size(); ++k) {
            labelled += confusion[c][k];
            predicted += confusion[k][c];
        }
        std::int64_t const right = confusion[c][c];
        scores[c] = {share(right, predicted), share(right, labelled),
                     share(2 * right, labelled + predicted), labelled};
    }
    return scores;
}

nlohmann::ordered_json classes_to_json(std::vector<std::vector<std::int64_t>> const& confusion,
                                       std::vector<std::string> const& names) {
    std::vector<std::pair<std::string, ClassScores>> named;
    for (auto const& scores : class_scores(confusion))
        named.emplace_back(names.at(named.size()), scores);
    return {{"classes", to_json(named)}, {"labels", names}};
}

nlohmann::ordered_json to_json(std::vector<std::pair<std::string, ClassScores>> const& scores) {
    auto json = nlohmann::ordered_json::object();
    for (auto const& [name, own] : scores)
        json[name] = {{"precision", or_null(own.precision)},
                      {"recall", or_null(own.recall)},
                      {"f1", or_null(own.f1)},
                      {"support", own.support}};
    return json;
}

nlohmann::ordered_json reliability_to_json(std::vector<ReliabilityBin> const& bins) {
    auto const mean = [](double sum, std::int64_t count) {
        return count ? nlohmann::ordered_json(sum / static_cast<double>(count)) : nullptr;
    };
    auto json = nlohmann::ordered_json::array();
    for (auto const& bin : bins)
        json.push_back({{"low", bin.low},
                        {"high", bin.high},
                        {"count", bin.count},
                        {"confidence", mean(bin.confidence, bin.count)},
                        {"accuracy", mean(static_cast<double>(bin.right), bin.count)}});
    return json;
}

bool is_better(Metric const& metric, double a, double b) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(b) && !std::isnan(a);
    switch (metric.better) {
    case Better::larger: return a > b;
    case Better::smaller: return a < b;
    }
    return false;
}

std::vector<std::vector<std::int64_t>> confusion_of(Outcome const& outcome) {
    auto const classes = static_cast<std::size_t>(outcome.outputs);
    std::vector<std::vector<std::int64_t>> table(classes, std::vector<std::int64_t>(classes));
    for (auto const& r : outcome.samples)
        if (r.label >= 0)
            ++table[static_cast<std::size_t>(r.label)][static_cast<std::size_t>(r.prediction)];
    return table;
}

} // namespace trireme::framework::evaluation
