// Are the copies of the weights that several ranks hold still the same bits? A bit that flips in
// one replica's memory changes no loss by much, and every checkpoint after it.
#pragma once
#include <string>

#include "framework/parallelize/parallel_model.hpp"

namespace trireme::framework::train {

/// Compares what must be equal by XXH3: compute copies among the data ranks (ZeRO 0 to 2), masters
/// and moments among the replicas of a shard, uncut parameters among the tensor ranks. Empty if all
/// agree; else which rank's copy of which parameter differs from the most, or which differ where
/// there is no majority. Collective over the mesh; the same on every rank. Call it between steps.
std::string find_odd_replica(parallelize::ParallelModel& model);

} // namespace trireme::framework::train
