// Computes what a step found where the model is: the update depends on it there, and the host reads
// it later.
#pragma once
#include <ATen/ATen.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "cluster/copy_back.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::parallelize {
class ParallelModel;
}

namespace trireme::framework::step {

class BatchSource;

struct BatchPlace;

/// Queues the passes of one step. Its gradient stays with the ranks that keep it; returns its loss,
/// a float64 scalar where the model is. Collective over the mesh.
at::Tensor forward_backward(BatchSource& batches, BatchPlace const& place,
                            parallelize::ParallelModel& model);

/// Losses of all micro-batches, in micro-batch order: float64 [micro-batches], from those of this
/// data rank (Engine::losses). Collective over the data ranks of the mesh.
at::Tensor gather_losses(at::Tensor const& mine, std::int64_t micro_batches,
                         parallel::Mesh const& mesh);

/// Returns the factor that AdamW takes: clip_scale, or NaN, which means no update, unless both are
/// finite and the loss is at most `highest_loss` (step_guard.hpp). All are float64 scalars on one
/// device.
at::Tensor update_scale(at::Tensor const& loss, at::Tensor const& gradient_norm, double clip,
                        double highest_loss);

/// Brings the numbers of one step at a time to the host. From a GPU they go through pinned memory,
/// in the order of the compute stream. Local; one thread.
class StepResults {
  public:
    struct Numbers {
        double loss, gradient_norm;
        std::vector<double> losses; ///< losses of all micro-batches
    };
    /// `most_micro_batches`: of any step. `deadline`: of the host's wait.
    StepResults(at::Device device, std::int64_t most_micro_batches,
                std::chrono::milliseconds deadline);

    /// Reads nothing back.
    void send(at::Tensor const& loss, at::Tensor const& gradient_norm, at::Tensor const& losses);
    /// Once after each `send`; waits until the device has come there.
    Numbers read();
    /// Whether the device computes behind the host's back, so that something is gained by reading
    /// later.
    bool from_stream() const { return copy_ != nullptr; }

  private:
    std::unique_ptr<cluster::CopyBack> copy_; ///< from a GPU
    at::Tensor sent_;                         ///< [2 + micro-batches] otherwise
};

} // namespace trireme::framework::step
