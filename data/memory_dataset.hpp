// Samples in memory as a data set: what `trireme verify` computes on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "data/questions.hpp"
#include "data/shard.hpp"

namespace trireme::data {

/// `labels`: names of the outputs in id order, if the task has such. `vocabulary`: that of the
/// model, since no tokenizer made these. Every sample has the columns of the task. `questions`:
/// that the samples are windows of, or null.
std::unique_ptr<Dataset> make_memory_dataset(TaskKind task, std::vector<Sample> samples,
                                             std::vector<std::string> labels,
                                             std::int64_t vocabulary,
                                             std::unique_ptr<Questions const> questions = {});

} // namespace trireme::data
