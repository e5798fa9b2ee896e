// Knowledge of the framework about one task, beside the description that both programs share
// (data/task.hpp): its head, what that finds, and how a prediction is written. A new task is a file
// pair here and a line in registry.cpp.
#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/task.hpp"
#include "framework/model/config.hpp"
#include "framework/model/results.hpp"

namespace trireme::framework::tasks {

/// Findings of one sample. Refers to data that the caller keeps.
struct Prediction {
    model::SampleResult const& result;
    std::vector<std::string> const& labels; ///< names of the outputs
    // as in model::Results
    std::span<float const> logits = {}, targets = {};
    std::span<std::int32_t const> words = {};
    std::span<model::AnswerSpan const> spans = {};
    double least_logit = 0; ///< of a label of several that is predicted
};

class Task {
  public:
    virtual ~Task() = default;
    virtual data::TaskKind kind() const = 0;
    virtual model::HeadKind head() const = 0;
    virtual model::Findings findings() const = 0;
    /// Adds what was found of a sample to its line in a file of predictions.
    virtual void describe(Prediction const& found, nlohmann::ordered_json& line) const = 0;
    /// Adds what is known of the sample, and whether what was found agrees with it.
    virtual void describe_label(Prediction const& found, nlohmann::ordered_json& line) const = 0;

    data::TaskSchema const& schema() const { return data::schema_of(kind()); }
};

Task const& task_of(data::TaskKind kind);
/// The first task that has this head.
Task const& task_of(model::HeadKind head);
/// Describes the columns that a head reads of micro-batches: those of its task, or of a masked
/// language model those of language modelling, of which masks make the labels.
data::TaskSchema const& read_by(model::HeadKind head);
/// Returns the task of a folder whose head has a row of outputs per sample and this problem_type in
/// config.json. Null if there is none.
Task const* task_of_samples(std::string const& problem_type);

} // namespace trireme::framework::tasks
