// Describes each task once for both programs, `trireme` and `trireme-text`: its name, and the
// columns that its samples have beside tokens and segments.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace trireme::data {

enum class TaskKind : std::uint8_t {
    classification,
    language_modeling,
    generation,
    regression,
    multi_label,
    token_classification,
    question_answering,
    masked_language_modeling
};

/// Says how many entries a column has.
enum class Per : std::uint8_t { token, sample };
/// Says what the values of a column are, and so their type: int32 of the vocabulary, of the names
/// of the labels, of the places of the sample's own tokens, or numbers from 0, each or
/// kIgnoredLabel; or float32, where NaN stands for a value that is missing.
enum class Values : std::uint8_t { vocabulary, labels, places, numbers, reals };

inline constexpr std::int64_t kOnePerLabel = 0;

struct TaskColumn {
    char const* name; ///< in shards and micro-batches
    char const* what; ///< one value, in a message
    Per per = Per::sample;
    Values values = Values::labels;
    /// values of an entry; kOnePerLabel: as many as the data have names of labels
    std::int64_t width = 1;
    bool learned = true; ///< its values count in the loss unless they are ignored

    std::int64_t width_for(std::int64_t labels) const;
};

/// The label of token t is what t must predict, so that labels are shifted already.
inline constexpr TaskColumn kTokenLabels{"token_labels", "token label", Per::token,
                                         Values::vocabulary};
/// The class of a sample.
inline constexpr TaskColumn kClassLabel{"label", "label"};

/// Real numbers of a sample, one for each name of a label. Of several labels: 1 for one that the
/// sample has, 0 for one that it has not.
inline constexpr TaskColumn kTargets{"targets", "target", Per::sample, Values::reals, kOnePerLabel};

/// The class of a word at its first token, ignored at its other tokens and at special tokens.
inline constexpr TaskColumn kTokenClasses{"token_classes", "token class", Per::token,
                                          Values::labels};
/// The first and the last token of the answer; both are token 0 where the window has none. Both are
/// ignored where it is not known whether there is one.
inline constexpr TaskColumn kAnswer{"answer", "place of the answer", Per::sample, Values::places,
                                    2};
/// The bytes of the context that a token stands for, from the first to the one after the last;
/// ignored at tokens that are not of the context, which cannot be answers.
inline constexpr TaskColumn kContextBytes{
    "context_bytes", "place in the context", Per::token, Values::numbers, 2, false};
/// The number of the word that a token is part of, from 0 in each sample; ignored at special
/// tokens, which are never masked.
inline constexpr TaskColumn kWords{"words", "number of a word", Per::token, Values::numbers, 1,
                                   false};

struct TaskSchema {
    TaskKind kind;
    char const* name; ///< in configurations, manifests, shards and options
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
