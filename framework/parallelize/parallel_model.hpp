// A model laid over a mesh, ready to run: the one place where model, mesh and configuration meet.
#pragma once
#include <memory>
#include <vector>

#include "framework/model/transformer_parts.hpp"
#include "framework/parallelize/section.hpp"
#include "parallel/engine.hpp"
#include "parallel/gradient_reducer.hpp"
#include "parallel/mesh.hpp"
#include "parallel/parameter_store.hpp"
#include "parallel/weight_gatherer.hpp"

namespace trireme::framework::parallelize {

/// Degrees of the axes for this job, with what is derived filled in: throws InputError with the
/// equation.
parallel::MeshShape mesh_shape(ParallelSection const& section, int world_size);

class ParallelModel {
  public:
    /// Applies pipeline, tensor and ZeRO sharding to the model, in that order. Allocates what this
    /// rank keeps; `gradients` false: for evaluation. `device`: meta for a dry run, over a mesh of
    /// a dry world. `model` and `mesh` must outlive it. Collective over the mesh. Throws InputError
    /// before memory is taken for a layout that cannot work.
    ParallelModel(model::Config const& model, parallel::Mesh const& mesh,
                  ParallelSection const& section, NumericsSection const& numerics,
                  bool gradients = true, at::Device device = at::kCPU);

    model::Config const& config() const { return config_; }
    parallel::Mesh const& mesh() const { return mesh_; }
    parallel::ParameterStore& store() { return store_; }
    parallel::ParameterStore const& store() const { return store_; }
    parallel::Engine& engine() { return engine_; }
    /// This rank's layers, where each stage has one part.
    model::TransformerStage& part() { return parts_.first(); }
    /// The specs of the whole model, on every rank.
    std::vector<parallel::ParameterSpec> const& specs() const { return specs_; }

    /// Keeps a second, frozen model in the same layout, from whose distribution of tokens the loss
    /// in training may not stray: `weight` is the factor of the divergence (ops.hpp). Its weights
    /// are still to be filled and refreshed. The sections are those of the constructor. Once;
    /// collective over the mesh.
    void keep_base(double weight, ParallelSection const& section, NumericsSection const& numerics);
    /// Returns that model; null: there is none.
    ParallelModel* base() { return base_.get(); }

    /// This rank's micro-batches of the step to come, one per micro-step.
    void load(std::vector<model::Pass> passes);
    /// Runs the forward passes of the base model, if there is one, and then Engine::queue: one step
    /// of training. Collective over the mesh.
    void queue(std::int64_t micro_batches);
    /// Returns what the head found for them; empty on stages without a head.
    model::Results const& results() const { return parts_.results(); }
    /// Master weights have changed: every copy that computes follows, what others keep of it under
    /// ZeRO 1 and 2 in the next pass. Collective over the mesh.
    void refresh() { gatherer_.refresh(); }

  private:
    friend class WholeWeights;
    /// Gathers or lets go what the head reads, on the stage that has it, where that is not kept.
    void hold_head();
    void release_head();

    model::Config const& config_;
    parallel::Mesh const& mesh_;
    model::PipelineLayout layout_;
    std::vector<parallel::ParameterSpec> specs_;
    parallel::ParameterStore store_;
    model::TransformerParts parts_;
    parallel::GradientReducer reducer_;
    parallel::WeightGatherer gatherer_;
    parallel::Engine engine_;

    std::unique_ptr<ParallelModel> base_;
    double base_weight_ = 0;
    std::vector<model::BaseOutput> base_outputs_; ///< by micro-step; held while a step runs
};

/// Holds all weights of this rank's part of a model whole outside of passes, also where ZeRO 3
/// shards them. Making it is collective over the shard group. The model must outlive it.
class WholeWeights {
  public:
    explicit WholeWeights(ParallelModel& model);
    ~WholeWeights();
    WholeWeights(WholeWeights const&) = delete;
    WholeWeights& operator=(WholeWeights const&) = delete;

  private:
    ParallelModel& model_;
};

} // namespace trireme::framework::parallelize
