// Describes each task once for both programs, `trireme` and `trireme-text`: its name, and the
// columns that its samples have beside tokens and segments.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace trireme::data {

enum class TaskKind : std::uint8_t { classification, language_modeling, generation, regression };

/// Says how many entries a column has.
enum class Per : std::uint8_t { token, sample };
/// Says what the values of a column are, and so their type: int32 of the vocabulary or of the names
/// of the labels, each or kIgnoredLabel; or float32, where NaN stands for a value that is missing.
enum class Values : std::uint8_t { vocabulary, labels, reals };

inline constexpr std::int64_t kOnePerLabel = 0;

struct TaskColumn {
    char const* name; ///< in shards and micro-batches
    char const* what; ///< one value, in a message
    Per per = Per::sample;
    Values values = Values::labels;
    /// values of an entry; kOnePerLabel: as many as the data have names of labels
    std::int64_t width = 1;

    std::int64_t width_for(std::int64_t labels) const;
};

/// The label of token t is what t must predict, so that labels are shifted already.
inline constexpr TaskColumn kTokenLabels{"token_labels", "token label", Per::token,
                                         Values::vocabulary};
/// The class of a sample.
inline constexpr TaskColumn kClassLabel{"label", "label"};

/// Real numbers of a sample, one for each name of a label.
inline constexpr TaskColumn kTargets{"targets", "target", Per::sample, Values::reals, kOnePerLabel};

struct TaskSchema {
    TaskKind kind;
    char const* name; ///< in configurations, manifests, shards and options
    /// values of all of them count in the loss unless they are ignored
    std::span<TaskColumn const> columns;
    std::int64_t least_labels = 0; ///< names that its data have at least; 0: they have none
    bool prompted = false;         ///< samples begin with a prompt that is read and not trained
};

/// Every task, in the order of TaskKind.
std::span<TaskSchema const> task_schemas();
TaskSchema const& schema_of(TaskKind kind);
/// Throws InputError "PLACE: TEXT: legal: classification, ...".
TaskSchema const& task_named(std::string const& text, std::string const& place);
/// "classification, language-modeling, ...", divided by `separator`.
std::string task_names(std::string const& separator = ", ");

} // namespace trireme::data
