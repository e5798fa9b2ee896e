// Labelled examples for a few-shot baseline: the same for a prompt and for nearest neighbours.
#pragma once
#include <cstdint>
#include <vector>

#include "data/loader.hpp"

namespace trireme::data {

/// Chooses `shots` samples of `train`, as many of each class; those that are left over go to
/// classes drawn by the seed. Their order is drawn by the seed too: no other sample or rank is in
/// it. Throws InputError "--shots: N: ..." where a class has too few. Local.
std::vector<std::int64_t> choose_shots(Dataset const& train, std::int64_t shots,
                                       std::uint64_t seed);

/// Throws InputError unless the data in `folder`, whose split `split` is `set`, are classes of
/// whole texts that examples of another split can be given for. Local.
void check_shots(Dataset const& set, std::string const& folder, std::string const& split);

} // namespace trireme::data
