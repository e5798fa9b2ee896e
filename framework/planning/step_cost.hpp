// Counts what a step asks of a device: launches, bytes, allocations, waits and collectives, by
// place.
//
// [Note: one seam] Nothing here knows the code that it counts. Each operation of libtorch and each
// kernel of ours (parallel/launches.hpp) passes at::RecordFunction, on every device; the innermost
// of nested operations that write a tensor are the launches, views are none. Bytes come from
// shapes: what an operation reads and what it writes, each element once, so that work which hides
// in another operation still shows. Caches and tiles of matrix products are not modelled.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/communicator.hpp"
#include "framework/planning/launch.hpp"
#include "framework/planning/traffic.hpp"

namespace trireme::framework::planning {

struct Cost {
    std::int64_t launches = 0;
    std::int64_t read = 0, written = 0; ///< bytes
    std::int64_t products = 0;          ///< of the launches, matrix products and attention
    std::int64_t product_bytes = 0;     ///< of the bytes, theirs
    std::int64_t allocations = 0;       ///< asked of the allocator, its caches included
    std::int64_t waits = 0;             ///< of the host for the device
    std::int64_t collectives = 0;       ///< of groups of two ranks and more
    std::int64_t wire = 0;              ///< bytes that this rank sends in them
    std::int64_t exposed = 0; ///< collectives waited for before anything else was launched

    Cost& operator+=(Cost const& other);
    bool operator==(Cost const&) const = default;
    /// Bytes of what is neither a matrix product nor attention.
    std::int64_t elementwise() const { return read + written - product_bytes; }
};

/// A place in a step (parallel::StepPlace), over all of its micro-steps and chunks.
struct PlaceCost {
    std::string doing;       ///< forward, backward, norm, update ...
    std::int64_t block = -1; ///< -1: of no block
    Cost cost;
    std::map<std::string, Cost> operations = {}; ///< by name; collectives by "group operation"
};

/// Counts what the calling thread does on a device while it is alive. One at a time in a thread.
class LaunchCounter {
  public:
    /// `watcher`, if given, is told of each launch; it outlives the counter.
    explicit LaunchCounter(bool on_meta, StepWatcher* watcher = nullptr);
    ~LaunchCounter();
    LaunchCounter(LaunchCounter const&) = delete;
    LaunchCounter& operator=(LaunchCounter const&) = delete;

    /// Returns places in the order in which the step first reached them.
    std::vector<PlaceCost> const& places() const;
    Cost total() const;

    struct State;

  private:
    std::unique_ptr<State> state_;
};

/// Counts a step of `rank`, from its micro-batches to renewed weights, by the code that trains, on
/// the meta device. `gpu`: with what a GPU runs, not the CPU's kernels. Local; takes no memory for
/// weights or activations. Throws InputError for a layout that cannot work, and on a GPU for one
/// with an operation that does not run on the meta device, as attention that is not flash
/// attention. `watcher`, if given, is told of each launch and call.
std::vector<PlaceCost> step_cost(model::Config const& model, StepDescription const& step, int rank,
                                 bool gpu, StepWatcher* watcher = nullptr);

} // namespace trireme::framework::planning
