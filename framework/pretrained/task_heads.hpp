// Heads of a folder: whether a task may use, leave out or replace them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "framework/model/config.hpp"

namespace trireme::framework::pretrained {

/// Is it of a head that a task may start anew, or of what is between that head and the body?
bool is_task_head(model::Config const& model, std::string const& name);

/// Is it of a head of other tasks, which this run has no use for?
bool is_other_head(model::Config const& model, std::string const& name);

/// Finds the row of the folder's head for each class; none if it was trained for other classes, or
/// for another kind of answer, whose rows mean something else.
std::optional<std::vector<std::int64_t>> rows_of_classes(model::Config const& model);

/// Returns the dropout before the last layer of the model's head, as transformers takes it from
/// config.json for a head of this kind.
double head_dropout(model::Config const& model);

} // namespace trireme::framework::pretrained
