// A model as the engine runs it: stem, layers, head, and the slots of the current step.
#pragma once
#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "framework/model/transformer.hpp"
#include "parallel/stage.hpp"

namespace trireme::framework {

/// The specs of all parameters of a model, in model order, for ParameterStore. A tied embedding has two uses and a unit
/// of its own.
std::vector<parallel::ParameterSpec> parameter_specs(ModelConfig const& config);

class TransformerStage : public parallel::Stage {
  public:
    /// `config` and `store` must outlive the stage.
    TransformerStage(ModelConfig const& config, parallel::ParameterStore& store);

    /// This rank's slots of the step to come, one per micro-step. Clears the results of the last.
    void load(std::vector<Pass> passes);
    Results const& results() const { return results_; }

    /// Logits of one slot, without a graph: [T, V] of a language model, else [samples, classes].
    at::Tensor logits(Pass const& pass) const;

    std::size_t block_count() const override { return layers_.size() + 2; }
    std::vector<std::size_t> const& units_completed_by(std::size_t block) const override { return completed_[block]; }
    at::Tensor forward(std::size_t block, at::Tensor const& input, std::int64_t micro_step) override;

  private:
    ModelConfig const& config_;
    RotaryTable rotary_;
    Stem stem_;
    std::vector<TransformerLayer> layers_;
    Head head_;
    std::vector<std::vector<std::size_t>> completed_;
    std::vector<Pass> passes_;
    Results results_;
};

} // namespace trireme::framework
