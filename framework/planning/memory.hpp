// Memory of a step of our own runs: counted where tensors are allocated, and predicted by the same
// code on the meta device.
//
// [Note: memory without memory] Allocators of the meta device hand out no memory and count. The
// real model, store, engine, reducer, optimizer and norm of one rank run there against a
// communicator that records, so that a prediction has no formula: what is allocated, and for how
// long, is decided by the code that trains. Vectors of our own kernels and what MPI and libtorch's
// libraries keep are not tensors and are not counted.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "framework/planning/block_profile.hpp"
#include "framework/planning/traffic.hpp"
#include "parallel/memory_class.hpp"

namespace trireme::framework::planning {

using BytesByClass = std::array<std::int64_t, parallel::kMemoryClasses>;

/// The most that is held while a step is at one place.
struct MemoryMoment {
    parallel::StepPlace place;
    std::int64_t peak = 0;
    BytesByClass by_class{}; ///< at that peak
};

struct StepMemory {
    /// The moment of most memory.
    MemoryMoment peak;
    std::vector<MemoryMoment> moments;
    std::int64_t before = 0, after = 0; ///< held when the step begins and when it has ended
};

/// Predicts the memory of a step of `rank`, without the others, as on a network so slow that as
/// many gradients as may wait for their reduction do wait (parallel/budgets.hpp): where
/// micro-batches are reduced one by one, under ZeRO 2 and 3, a faster one needs less. `gpu`: with
/// the attention kernels of a GPU. Local; takes no memory for weights or activations. Throws
/// InputError for a layout that cannot work.
StepMemory predict_memory(model::Config const& model, StepDescription const& step, int rank,
                          bool gpu = false);

/// What libtorch's allocator for CUDA has done by the end of a step (caching_allocator.hpp).
struct AllocatorState {
    std::int64_t device_calls = 0;   ///< of the driver, from the start
    std::int64_t reserved = 0;       ///< bytes
    std::int64_t most_allocated = 0; ///< bytes at once, from the start
};
/// Predicts it for `steps` steps of `rank` on a GPU, one after the other, weights and moments
/// included. Local; throws InputError for a layout that cannot work.
std::vector<AllocatorState> predict_allocator(model::Config const& model,
                                              StepDescription const& step, int rank, int steps);

/// Measures on the meta device what the parts of a model take on one of `tensor` ranks with
/// micro-batches of `samples` samples of `length` tokens. Local.
BlockProfile profile_blocks(model::Config const& model, ProfileRequest const& request);

} // namespace trireme::framework::planning
