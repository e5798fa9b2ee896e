// Memory of a step of our own runs: counted where tensors are allocated, and predicted by the same
// code on the meta device.
//
// [Note: memory without memory] Allocators of the meta device hand out no memory and count. The
// real model, store, engine, reducer, optimizer and norm of one rank run there against a
// communicator that records, so that a prediction has no formula: what is allocated, and for how
// long, is decided by the code that trains. Vectors of our own kernels and what MPI and libtorch's
// libraries keep are not tensors and are not counted.
#pragma once
#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <vector>

#include "framework/planning/traffic.hpp"
#include "parallel/memory_class.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::planning {

using BytesByClass = std::array<std::int64_t, parallel::kMemoryClasses>;

/// The most that is held while a step is at one place.
struct MemoryMoment {
    parallel::StepPlace place;
    std::int64_t peak = 0;
    BytesByClass by_class{}; ///< at that peak
};

/// Counts the tensors that the calling thread allocates on a device (CPU or meta), whoever frees
/// them. The allocators are put in place by the first call and stay for the process.
class MemoryMeter {
  public:
    explicit MemoryMeter(c10::DeviceType device);

    std::int64_t live() const;
    std::int64_t peak() const; ///< since the last reset
    /// Since the last reset, one for each stay at a place, in order.
    std::vector<MemoryMoment> moments() const;
    void reset() const;

  private:
    c10::DeviceType device_;
};

struct StepMemory {
    /// The moment of most memory.
    MemoryMoment peak;
    std::vector<MemoryMoment> moments;
    std::int64_t before = 0, after = 0; ///< held when the step begins and when it has ended
};

/// Trains one step as the trainer does, from micro-batches to the renewed weights, on a device, and
/// counts. Tokens and weights are zeros. The micro-batches of the step to come are held beside
/// those of this one, since they are read ahead. Collective over `world`.
StepMemory count_memory(model::Config const& model, StepDescription const& step,
                        cluster::Communicator& world, at::Device device);

/// Predicts the same for `rank`, without the others, as on a network so slow that as many gradients
/// as may wait for their reduction do wait (parallel/budgets.hpp): where micro-batches are reduced
/// one by one, under ZeRO 2 and 3, a faster one needs less. Local; takes no memory for weights or
/// activations. Throws InputError for a layout that cannot work.
StepMemory predict_memory(model::Config const& model, StepDescription const& step, int rank);

} // namespace trireme::framework::planning
