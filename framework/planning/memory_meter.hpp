// Counts tensors where they are allocated.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "framework/model/flash.hpp"
#include "framework/planning/caching_allocator.hpp"
#include "framework/planning/memory.hpp"
#include "parallel/compute_path.hpp"

namespace trireme::framework::planning {

/// Counts the tensors that the calling thread allocates on a device (CPU or meta), whoever frees
/// them. A device's first meter puts an allocator in place, which stays for the process.
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

/// Null: nobody looks at what this thread allocates on the meta device.
inline thread_local AllocationWatcher* allocation_watcher = nullptr;
/// Tells the watcher while it lives. A MemoryMeter must have been there before.
struct WatchAllocations {
    explicit WatchAllocations(AllocationWatcher& watcher) { allocation_watcher = &watcher; }
    ~WatchAllocations() { allocation_watcher = nullptr; }
    WatchAllocations(WatchAllocations const&) = delete;
    WatchAllocations& operator=(WatchAllocations const&) = delete;
};

/// Trains one step as the trainer does, from micro-batches to the renewed weights, on a device, and
/// counts. Tokens and weights are zeros. The micro-batches of the step to come are held beside
/// those of this one, since they are read ahead. Collective over `world`.
/// `ready`, if given, is called when all is made and the step begins.
StepMemory count_memory(model::Config const& model, StepDescription const& step,
                        cluster::Communicator& world, at::Device device,
                        std::function<void()> const& ready = {});

/// Makes this thread's dry runs those of a GPU for as long as it lives.
struct DryGpu {
    explicit DryGpu(bool gpu) { model::dry_flash = parallel::dry_gpu = gpu; }
    ~DryGpu() { model::dry_flash = parallel::dry_gpu = false; }
    DryGpu(DryGpu const&) = delete;
    DryGpu& operator=(DryGpu const&) = delete;
};

} // namespace trireme::framework::planning
