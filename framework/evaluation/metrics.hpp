// Every metric: a pure function of the results of a data set in the order of its samples, so that
// it has the same bits whatever ranks computed them. A new metric is a row of the table in
// metrics.cpp, and one of tests/golden/make_metrics.py.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "framework/model/results.hpp"

namespace trireme::data {
struct Questions;
}

namespace trireme::framework::evaluation {

using model::Findings;

/// Scores of the completion of a prompt, from 0 to 1.
struct CompletionScores {
    double exact_match = 0, rouge_l = 0;
};

/// The results of a whole data set, sorted by sample.
struct Outcome {
    Findings findings = Findings::next_tokens;
    std::int64_t outputs = 0; ///< outputs of a sample: classes or numbers
    std::vector<model::SampleResult> samples = {};
    std::vector<float> logits = {};       ///< [n, outputs] of classes, numbers and sets of labels
    std::vector<float> targets = {};      ///< [n, outputs] of the last two; not a number: none
    std::vector<std::int32_t> words = {}; ///< of classes of tokens, as in model::Results
    std::vector<std::string> labels = {}; ///< of classes of tokens: their names
    std::vector<model::AnswerSpan> spans = {};      ///< of answers, as in model::Results
    data::Questions const* questions = nullptr;     ///< of answers; null: not known
    std::vector<CompletionScores> completions = {}; ///< of the prompts that were completed, if any
};

struct Metric {
    enum class Better : std::uint8_t { larger, smaller };
    char const* name; ///< in evaluation.metric, metrics.jsonl and what `evaluate` prints
    Better better;
    std::vector<Findings> of; ///< findings that it can be computed from
    double (*value)(Outcome const& outcome);
    bool in_text = true; ///< in the lines of a run for people, also where it decides nothing
    bool of_completions = false; ///< only where prompts were completed
};

/// Every metric, in the order in which they are shown.
std::vector<Metric> const& metrics();
/// Throws InputError "PLACE: NAME: legal: loss, accuracy, ..." for one that there is not for
/// `findings`, or only where prompts are completed.
Metric const& metric_named(std::string const& name, Findings findings, std::string const& place,
                           bool completes = false);

/// Samples whose predicted class has a probability in (low, high], or 0 in the first bin.
struct ReliabilityBin {
    double low = 0, high = 0;
    std::int64_t count = 0, right = 0; ///< samples, and those that were predicted right
    double confidence = 0;             ///< sum of these probabilities
};
/// Returns 15 bins of equal width, of the samples with a label; none without logits.
std::vector<ReliabilityBin> reliability_of(Outcome const& outcome);

/// Scores of one class, as scikit-learn's precision_recall_fscore_support defines them. Not a
/// number: not defined, as the precision of a class that was never predicted.
struct ClassScores {
    double precision = 0, recall = 0, f1 = 0;
    std::int64_t support = 0; ///< samples with this label
};

/// The metrics of an outcome.
struct Metrics {
    std::int64_t samples = 0;
    std::vector<std::pair<std::string, double>> values; ///< in the order of the table
    std::vector<std::vector<std::int64_t>> confusion;   ///< [label][prediction] of classes
    std::vector<ReliabilityBin> reliability;            ///< of classes
    /// scores of each type, of classes of tokens; else none
    std::optional<std::vector<std::pair<std::string, ClassScores>>> entities;

    double value(std::string const& name) const; ///< throws std::out_of_range
    nlohmann::ordered_json to_json() const;      ///< null for what is not defined
    /// "loss 0.6931, accuracy 0.5000", with the metric `chosen` in any case.
    std::string text(std::string const& chosen = "") const;
};
Metrics summarize(Outcome const& outcome);

/// The scores of each class, of a confusion matrix [label][prediction].
std::vector<ClassScores> class_scores(std::vector<std::vector<std::int64_t>> const& confusion);
/// {"classes": {NAME: {"precision", "recall", "f1", "support"}}, "labels": [NAME]}, the names in
/// the order of the confusion matrix; null for what is not defined.
nlohmann::ordered_json classes_to_json(std::vector<std::vector<std::int64_t>> const& confusion,
                                       std::vector<std::string> const& names);

/// {NAME: {"precision", "recall", "f1", "support"}}; null for what is not defined.
nlohmann::ordered_json to_json(std::vector<std::pair<std::string, ClassScores>> const& scores);

/// [{"low", "high", "count", "confidence", "accuracy"}], the last two means over the samples of a
/// bin; null for an empty one.
nlohmann::ordered_json reliability_to_json(std::vector<ReliabilityBin> const& bins);

/// Is `a` better than `b`? What is not a number is the worst.
bool is_better(Metric const& metric, double a, double b);

/// [label][prediction] of the samples that have a label.
std::vector<std::vector<std::int64_t>> confusion_of(Outcome const& outcome);

} // namespace trireme::framework::evaluation
