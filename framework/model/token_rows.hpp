// Finds which rows of a table, or of a tensor, the tokens of a micro-batch stand for. Pure; no
// torch.
#pragma once
#include <cstdint>
#include <vector>

#include "data/micro_batch.hpp"
#include "framework/model/config.hpp"

namespace trireme::framework::model {

/// Returns the rows of learned positions of all tokens where the padding token may be a text's own:
/// it has the row of its own number and takes no place, and places count from the next (RoBERTa).
std::vector<std::int64_t> rows_beside_padding(data::MicroBatch const& micro_batch,
                                              std::int64_t pad);

/// Returns the rows of a rotary table of all tokens: their positions, and in samples longer than
/// `short_context`, by their last position, so many more.
std::vector<std::int32_t> rows_by_length(data::MicroBatch const& micro_batch,
                                         std::int64_t short_context);

/// Says whether the head reads the output of one token of each sample, and no other's.
bool reads_one_token(Config const& config);

/// Returns the token that a classifier reads of each sample: an encoder's first, of a decoder the
/// last that does not pad, or the first if all do.
std::vector<std::int64_t> rows_read(data::MicroBatch const& micro_batch, Config const& config);

} // namespace trireme::framework::model
