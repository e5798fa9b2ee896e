#include "data/task.hpp"

#include <algorithm>
#include <array>

#include "cluster/error.hpp"

namespace trireme::data {

namespace {

constexpr std::array kNextTokens{kTokenLabels};
constexpr std::array kClass{kClassLabel};

constexpr std::array kNumbers{kTargets};
constexpr std::array kClassesOfTokens{kTokenClasses};
constexpr std::array kAnswers{kAnswer, kContextBytes};
constexpr std::array kWordsToMask{kWords};

constexpr std::array kTasks{
    TaskSchema{TaskKind::classification, "classification", kClass, 2},
    TaskSchema{TaskKind::language_modeling, "language-modeling", kNextTokens},
    TaskSchema{TaskKind::generation, "generation", kNextTokens, 0, true},
    TaskSchema{TaskKind::regression, "regression", kNumbers, 1},
    TaskSchema{TaskKind::multi_label, "multi-label", kNumbers, 1},
    TaskSchema{TaskKind::token_classification, "token-classification", kClassesOfTokens, 2},
    TaskSchema{TaskKind::question_answering, "question-answering", kAnswers},
    TaskSchema{TaskKind::masked_language_modeling, "masked-language-modeling", kWordsToMask},
};

} // namespace

std::int64_t TaskColumn::width_for(std::int64_t labels) const {
    return width == kOnePerLabel ? labels : width;
}

std::span<TaskSchema const> task_schemas() {
    return kTasks;
}

TaskSchema const& schema_of(TaskKind kind) {
    return *std::ranges::find(kTasks, kind, &TaskSchema::kind);
}

TaskSchema const& task_named(std::string const& text, std::string const& place) {
    auto const found = std::ranges::find_if(kTasks, [&](auto const& t) { return text == t.name; });
    if (found == kTasks.end())
        throw cluster::InputError(place + ": " + cluster::one_line(text) +
                                  ": legal: " + task_names());
    return *found;
}

std::string task_names(std::string const& separator) {
    std::string names;
    for (auto const& task : kTasks) names += (names.empty() ? "" : separator) + task.name;
    return names;
}

} // namespace trireme::data
