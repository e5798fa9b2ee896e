// The samples of a parity run. No torch.
#pragma once
#include <cstdint>
#include <vector>

#include "data/shard.hpp"

namespace trireme::framework::parity {

/// 31 samples of 3 to 17 tokens, with what the task learns from. `labels`: outputs, if the task
/// has such. Of every third sample of tokens the first half is read only; of a classifier's every
/// fifth has no label; of generation two of three have tokens with weights. A function of its
/// arguments.
std::vector<data::Sample> drawn_samples(data::TaskKind task, std::int64_t labels,
                                        std::int64_t vocabulary, std::uint64_t seed);

} // namespace trireme::framework::parity
