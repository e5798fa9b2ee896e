// Ranking of choices by the likelihood that a language model gives them, as lm-evaluation-harness
// has it (api/task.py, process_results of multiple_choice): by the sum of log-probabilities of the
// choice's tokens, and by that sum per byte of the choice. Pure functions; no torch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/evaluation/metrics.hpp"

namespace trireme::framework::evaluation {

/// A question whose choices are samples, one after another.
struct ChoiceQuestion {
    std::int64_t right = 0;          ///< a place in the choices
    std::vector<std::int64_t> bytes; ///< of the choices, each > 0
    std::string source;              ///< "FILE:LINE"
    /// of each choice, whose score is their sum, each > 0; none: one sample for each
    std::vector<std::int64_t> samples = {};
};

struct RankedChoices {
    std::vector<double> scores; ///< sums of log-probabilities
    /// the first of the largest, of the scores and of the scores per byte
    std::int64_t best = 0, best_per_byte = 0;
};

/// `samples`: results in the order of questions and choices. Throws JobError unless there are
/// as many as the choices have.
std::vector<RankedChoices> rank_choices(std::vector<ChoiceQuestion> const& questions,
                                        std::vector<model::SampleResult> const& samples);

/// Metrics of the questions: accuracy, accuracy_per_byte. With `labels`, which every question has
/// as its choices, also those of a classifier whose outputs are the scores.
Metrics summarize_choices(std::vector<ChoiceQuestion> const& questions,
                          std::vector<RankedChoices> const& ranked,
                          std::vector<std::string> const& labels);

/// {"source", "label", "prediction", "prediction_per_byte", "scores"}: names where there are
/// `labels`, else places.
nlohmann::ordered_json to_json(ChoiceQuestion const& question, RankedChoices const& ranked,
                               std::vector<std::string> const& labels);

} // namespace trireme::framework::evaluation
