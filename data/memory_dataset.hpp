// Samples in memory as a data set: what `trireme verify` computes on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "data/shard.hpp"

namespace trireme::data {

/// `labels`: class names in id order; empty: language modelling, whose samples have token_labels.
/// `vocabulary`: that of the model, since no tokenizer made these.
std::unique_ptr<Dataset> make_memory_dataset(std::vector<Sample> samples,
                                             std::vector<std::string> labels,
                                             std::int64_t vocabulary);

} // namespace trireme::data
