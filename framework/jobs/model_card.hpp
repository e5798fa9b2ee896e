// The model card of an exported folder, README.md in the form of the Hugging Face Hub. Local.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "framework/config/config.hpp"

namespace trireme::framework::jobs {

struct CardFacts {
    config::Config config;   ///< of the run, with the folders that it was trained from
    std::string checkpoint;  ///< NAME, or "the mean of NAME, ..."
    std::int64_t labels = 0; ///< names of classes, labels or targets
    /// event `evaluation` of the checkpoint (docs/metrics.md); none: it was not evaluated
    std::optional<nlohmann::ordered_json> evaluation = {};
};

/// Returns the last event `evaluation` of the run at `step`. Throws InputError as log::read_events.
std::optional<nlohmann::ordered_json> evaluation_at(std::string const& run, std::int64_t step);

/// Returns the text. It has no time, no layout and no name of the run in it: equal models, however
/// they were trained, have equal folders. What only the maker knows stands there as an open
/// question. The head of the text is YAML as
/// huggingface.co/docs/hub/model-cards describes it.
std::string model_card(CardFacts const& facts);

} // namespace trireme::framework::jobs
