// The micro-batches of each step, where the model computes.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster/copy_ahead.hpp"
#include "data/loader.hpp"
#include "framework/model/pass.hpp"
#include "parallel/mesh.hpp"

namespace trireme::framework::step {

/// A step, and where its samples begin in the order.
struct BatchPlace {
    std::int64_t step = 0, cursor = 0;
    bool operator==(BatchPlace const&) const = default;
};
struct Batch {
    data::StepPlan plan;
    std::vector<model::Pass> passes; ///< passes of this rank, one per micro-step
};

/// Reads a batch when it is asked for, or, for a GPU, ahead: while step n computes, the
/// micro-batches of step n + 1 are read into pinned memory and copied by a side stream, behind
/// which the compute stream waits (cluster/copy_ahead.hpp). For each batch: take, then done, then
/// read_ahead of the next if one is foreseen. Local; one thread.
class BatchSource {
  public:
    /// `set`, `shape` and `mesh` must outlive it. `device`: of the model. `deadline`: of the host's
    /// waits for a copy.
    BatchSource(data::Dataset const& set, data::BatchShape const& shape, parallel::Mesh const& mesh,
                std::uint64_t seed, at::Device device, std::chrono::milliseconds deadline);

    /// Divides losses by the sum of the weights of the step's classes, by which the head multiplies
    /// them, in place of the count of labels. Empty: no class has a weight.
    void weigh_classes(std::vector<double> weights) { class_weights_ = std::move(weights); }

    Batch take(BatchPlace const& place);
    /// All work that reads the batch has been queued.
    void done();
    void read_ahead(BatchPlace const& place);

  private:
    struct Ahead {
        BatchPlace place;
        data::StepPlan plan;
        std::vector<data::MicroBatch> micro_batches;
    };
    Ahead read(BatchPlace const& place) const;
    /// Returns what was read ahead for `place`, or reads it now; on a device it has been sent.
    Ahead next(BatchPlace const& place);
    void send(Ahead const& batch);
    std::size_t largest_batch() const; ///< bytes, of any step on this rank
    double divisor_of(data::StepPlan const& plan) const;

    data::Dataset const& set_;
    data::BatchShape const& shape_;
    parallel::Mesh const& mesh_;
    std::uint64_t seed_;
    std::vector<double> class_weights_;
    at::Device device_;
    void* stream_; ///< null: a host's memory, nothing is staged
    std::chrono::milliseconds deadline_;
    std::unique_ptr<cluster::CopyAhead> ring_;
    std::optional<Ahead> ahead_; ///< sent
    bool taken_ = false;         ///< a batch of the ring, and not yet done with
};

} // namespace trireme::framework::step
