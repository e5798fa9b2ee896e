// Weights of single tokens in the loss. They are whole numbers, so that sums of them are exact in
// any order and every layout divides by the same number.
#pragma once
#include <cstdint>
#include <vector>

#include "data/loader.hpp"

namespace trireme::data {

/// The weight of a token that counts once. One that is not trained has 0.
inline constexpr std::int32_t kWeightUnit = 1'000'000;

/// The weight of each token's label. Only shards in which a trained label has another weight than
/// kWeightUnit have the column.
inline constexpr TaskColumn kTokenWeights{
    "token_weights", "weight of a token in millionths", Per::token, Values::numbers, 1, false};

/// Tells if samples of the task may have kTokenWeights: those that learn each next token.
bool has_token_weights(TaskSchema const& task);

/// Weights of a sample that has none of its own: kWeightUnit at each label that counts, else 0.
std::vector<std::int32_t> equal_weights(std::vector<std::int32_t> const& labels);

/// Appends weights for the labels that `micro_batch` got last. `own`: one for each of them; empty:
/// equal ones, and no column is made unless samples before have it.
void append_weights(std::vector<std::int32_t> const& own, MicroBatch& micro_batch);

/// The sum of the weights of a step's labels, by which a loss is divided: their count where no
/// label has a weight. Reads the weights of all samples. Throws JobError as Dataset::read does.
double weight_of(Dataset const& dataset, StepPlan const& plan);

} // namespace trireme::data
