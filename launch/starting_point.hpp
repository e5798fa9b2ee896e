// Values for a first run, chosen from what is known of task, model and data, each with its source.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/task.hpp"

namespace trireme::launch {

/// Describes the model of a folder as far as the choice depends on it.
struct KnownModel {
    std::string family; ///< model_type of config.json
    bool causal = false;
    std::int64_t parameters = 0; ///< those of the head included
};
/// Describes the training split of prepared data.
struct KnownData {
    std::int64_t samples = 0, tokens = 0, longest = 0;
    bool validation = false;                ///< there is a split to evaluate
    std::vector<std::int64_t> label_counts; ///< empty: the task has no labels
};

struct Beginning {
    data::TaskKind task = data::TaskKind::classification;
    /// what the user calls it, where that is not the name of the task: chat, whose conversations
    /// are samples of generation
    std::string called = "";
    std::string run = "run", model = "model", data = "data"; ///< folders, as the user names them
    int ranks = 1;                                           ///< ranks that the run is planned for
    std::optional<KnownModel> known_model;                   ///< absent: no folder was given
    std::optional<KnownData> known_data;
};

/// A key of the configuration with its value as YAML and why it has it.
struct Setting {
    std::string key, value, source;
};

/// Chooses the values that differ from task to task. Pure.
std::vector<Setting> starting_point(Beginning const& b);

/// Returns the configuration as YAML: folders, then each setting below a comment with its source.
std::string to_yaml(Beginning const& b, std::vector<Setting> const& settings);

} // namespace trireme::launch
