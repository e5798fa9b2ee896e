// Baselines without training: `trireme evaluate --shots` by prompts or by nearest neighbours,
// questions with choices, `--choices`, and paired sentences, `--pairs`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "cluster/communicator.hpp"
#include "framework/jobs/evaluate.hpp"
#include "launch/text_service.hpp"

namespace trireme::launch {

struct ChoiceRequest {
    std::optional<std::int64_t> shots, neighbours;
    std::uint64_t seed = 1;
    std::string prompt;  ///< file of the template
    std::string choices; ///< file of questions
    std::string pairs;   ///< file of paired sentences

    /// Is the answer that of a language model, for which texts are made?
    bool prompts() const { return has_file() || !prompt.empty(); }
    /// Is it that of the nearest labelled texts?
    bool nearest() const { return shots && !prompts(); }
    bool has_file() const { return !choices.empty() || !pairs.empty(); }
    std::string const& file() const { return choices.empty() ? pairs : choices; }
};

/// Throws InputError for options that do not belong together. `data`: as --data names it.
void check_choices(ChoiceRequest const& r, std::string const& data);

/// Evaluates by nearest neighbours. Collective.
framework::jobs::Evaluation evaluate_nearest(framework::jobs::EvaluationJob const& job,
                                             ChoiceRequest const& r, cluster::Communicator& world);

/// Asks the tokenizer's process of rank 0 for the samples, and scores them. Collective.
framework::jobs::Evaluation evaluate_choices(framework::jobs::EvaluationJob const& job,
                                             ChoiceRequest const& r, TextService* service,
                                             cluster::Communicator& world);

} // namespace trireme::launch
