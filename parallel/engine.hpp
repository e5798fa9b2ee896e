// Runs the forward and backward passes of one step, block by block, in the order of a pipeline
// schedule.
//
// [Note: block-driven backward]
// The input of each block is detached and the block's backward pass is an explicit call. So what
// happens between two blocks (reduce this unit, gather that one, recompute, queue a weight
// gradient) is ordinary code in one place, and no hook order decides it.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "parallel/gradient_reducer.hpp"
#include "parallel/mesh.hpp"
#include "parallel/pipeline_schedule.hpp"
#include "parallel/stage.hpp"
#include "parallel/stage_link.hpp"
#include "parallel/weight_gatherer.hpp"

namespace trireme::parallel {

struct EngineOptions {
    ScheduleKind schedule = ScheduleKind::one_f_one_b;
    /// keep each block's input only, and run its forward pass again before its backward pass
    bool recompute = false;
};

/// No call may follow one that threw: messages may still be on their way.
class Engine {
  public:
    /// `parts`: this rank's chunks, in order: chunk c is part c * stages + stage of the model. All
    /// must outlive the engine. Collective over the pipeline axis.
    Engine(std::vector<Stage*> parts, GradientReducer& reducer, WeightGatherer& gatherer,
           Mesh const& mesh, EngineOptions const& options = {});

    /// Runs all micro-steps of a step of `micro_batches` micro-batches and leaves the reduced
    /// gradient in the store. Collective over the mesh. Returns the losses of this data rank's
    /// micro-batches in micro-step order, the same on all stages.
    std::vector<double> forward_backward(std::int64_t micro_batches);
    /// Does the same without reading anything: on a GPU both return before it has computed.
    /// `losses`: float64 [micro-batches of this data rank] where the model is, in micro-step order,
    /// the same on all stages; called once after each `queue`.
    void queue(std::int64_t micro_batches);
    at::Tensor losses();
    /// Forward passes only, without a graph; returns the same. Collective over the mesh.
    std::vector<double> forward(std::int64_t micro_batches);
    /// Queues such forward passes and forgets their losses. Collective over the mesh.
    void queue_forward(std::int64_t micro_batches);

  private:
    struct Pass {
        at::Tensor input, output;
    };
    using Waiting = std::vector<std::function<void()>>;
    using Place = std::pair<int, std::int64_t>; ///< chunk, micro-step

    /// Starts to receive what the action begins with.
    void expect(Action const& action);
    /// Calls f(i) for each action i of this stage's list, in order, and starts receives on the way.
    void for_each_in(std::vector<StageActions> const& lists,
                     std::function<void(std::size_t)> const& f);
    void run(Action const& action);
    void run_forwards(std::int64_t micro_batches);
    void run_forward(int chunk, std::int64_t micro_step, bool training);
    void run_backward(int chunk, std::int64_t micro_step, bool with_weights);
    void run_weight_gradients(int chunk, std::int64_t micro_step);
    at::Tensor enter(int chunk);
    void leave(int chunk, std::int64_t micro_step, at::Tensor const& output);
    at::Tensor upstream(int chunk, std::int64_t micro_step);
    Pass pass_through(Stage& stage, std::size_t block, at::Tensor const& input,
                      std::int64_t micro_step, bool training);
    at::Tensor pass_back(Stage& stage, std::size_t block, Pass& pass, at::Tensor const& gradient,
                         std::int64_t micro_step);
    /// Units that a pass of the block reads; `direction`: 1 forward, -1 back.
    std::vector<std::size_t> const& read_by(Stage const& stage, std::size_t block,
                                            int direction) const;
    void acquire(Stage const& stage, std::size_t block, int direction);
    void release(Stage const& stage, std::size_t block);
    bool is_first(int chunk) const { return chunk == 0 && stage_ == 0; }
    bool is_last(int chunk) const {
        return chunk + 1 == static_cast<int>(parts_.size()) && stage_ + 1 == stages_;
    }

    std::vector<Stage*> parts_;
    GradientReducer& reducer_;
    WeightGatherer& gatherer_;
    cluster::Communicator& pipeline_;
    EngineOptions options_;
    int stages_, stage_;
    StageLink link_;
    std::map<Place, std::vector<Pass>> passes_; ///< passes in flight, one entry per block
    /// weight gradients that wait, one entry per block
    std::map<Place, std::vector<Waiting>> later_;
    /// losses by micro-step, on the last stage: float64 scalars
    std::map<std::int64_t, at::Tensor> losses_;
    /// the forward pass that runs has its backward pass, or the first half of it, next
    bool goes_back_ = false;
    at::Device losses_device_;
};

} // namespace trireme::parallel
