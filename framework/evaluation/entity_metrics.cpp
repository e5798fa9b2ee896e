#include "framework/evaluation/entity_metrics.hpp"

#include <algorithm>
#include <set>

#include "framework/model/entities.hpp"

namespace trireme::framework::evaluation {

namespace {

double share_or_zero(std::int64_t part, std::int64_t whole) {
    return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}
ClassScores scores_of(EntityCounts const& counts) {
    double const precision = share_or_zero(counts.right, counts.found),
                 recall = share_or_zero(counts.right, counts.labelled);
    return {precision, recall,
            precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0,
            counts.labelled};
}
EntityCounts total(std::map<std::string, EntityCounts> const& by_type) {
    EntityCounts sum;
    for (auto const& [type, counts] : by_type) {
        sum.right += counts.right;
        sum.labelled += counts.labelled;
        sum.found += counts.found;
    }
    return sum;
}
ClassScores over_all(Outcome const& outcome, bool strict) {
    return scores_of(total(entity_counts(outcome, strict)));
}

} // namespace

std::map<std::string, EntityCounts> entity_counts(Outcome const& outcome, bool strict) {
    bool const bioes = model::are_bioes(outcome.labels);
    auto const entities = [&](std::vector<std::string> const& names) {
        auto const found =
            strict ? model::strict_entities_of(names, bioes) : model::entities_of(names);
        return std::set<model::Entity>(found.begin(), found.end());
    };
    std::map<std::string, EntityCounts> by_type;
    std::size_t word = 0;
    for (auto const& sample : outcome.samples) {
        std::vector<std::string> labels, predictions;
        for (std::int64_t i = 0; i < sample.trained; ++i, word += 2) {
            labels.push_back(outcome.labels.at(static_cast<std::size_t>(outcome.words.at(word))));
            predictions.push_back(
                outcome.labels.at(static_cast<std::size_t>(outcome.words.at(word + 1))));
        }
        auto const labelled = entities(labels), found = entities(predictions);
        for (auto const& entity : labelled) {
            ++by_type[entity.type].labelled;
            by_type[entity.type].right += found.contains(entity);
        }
        for (auto const& entity : found) ++by_type[entity.type].found;
    }
    return by_type;
}

std::map<std::string, ClassScores> entity_scores(Outcome const& outcome) {
    std::map<std::string, ClassScores> scores;
    for (auto const& [type, counts] : entity_counts(outcome, false))
        scores[type] = scores_of(counts);
    return scores;
}

double entity_precision(Outcome const& outcome) {
    return over_all(outcome, false).precision;
}
double entity_recall(Outcome const& outcome) {
    return over_all(outcome, false).recall;
}
double entity_f1(Outcome const& outcome) {
    return over_all(outcome, false).f1;
}
double entity_macro_f1(Outcome const& outcome) {
    double sum = 0;
    auto const scores = entity_scores(outcome);
    for (auto const& [type, of_type] : scores) sum += of_type.f1;
    return scores.empty() ? 0 : sum / static_cast<double>(scores.size());
}
double entity_strict_f1(Outcome const& outcome) {
    return over_all(outcome, true).f1;
}

} // namespace trireme::framework::evaluation
