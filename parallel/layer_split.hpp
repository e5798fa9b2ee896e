// The number of layers that each part of a pipeline holds.
#pragma once
#include <vector>

namespace trireme::parallel {

/// Returns the layers of each of the stages x chunks parts, in the order of the model. If `given`
/// is empty the split is even, and parts in the middle take the remainder, since the first part
/// also has the embedding and the last the head. A given list must sum to `layers`, with at least
/// one in each part; but the first and last of several parts may have none, and then hold the
/// embedding or the head alone. Throws cluster::InputError with the equation and the nearest
/// layouts that work: first of all if there are more parts than layers.
std::vector<int> layers_of_parts(int layers, int stages, int chunks = 1,
                                 std::vector<int> const& given = {});

} // namespace trireme::parallel
