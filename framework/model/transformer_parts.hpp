// The parts of a model that this rank runs: one TransformerStage per chunk of its pipeline stage.
#pragma once
#include <memory>
#include <vector>

#include "framework/model/transformer_stage.hpp"

namespace trireme::framework::model {

/// How a model is laid over the pipeline axis. Pure integers.
struct PipelineLayout {
    int stages = 1, stage = 0, chunks = 1;
    std::vector<int> layers = {}; ///< of each of the stages x chunks parts; empty: an even split
};

/// Returns what each part of the model holds, in the order of the model. Throws InputError for a
/// layout that cannot work.
std::vector<PartRange> part_ranges(Config const& config, PipelineLayout const& layout);

/// The specs of the parameters on one stage. A tied embedding whose uses are on two stages belongs
/// to the first: the last has a copy without optimizer state.
std::vector<parallel::ParameterSpec> parameter_specs(Config const& config,
                                                     PipelineLayout const& layout);

class TransformerParts {
  public:
    /// `config` and `store` must outlive the parts.
    TransformerParts(Config const& config, parallel::ParameterStore& store,
                     PipelineLayout const& layout, BlockOptions const& options = {});

    /// This rank's micro-batches of the step to come, one per micro-step. Clears the results of the
    /// last.
    void load(std::vector<Pass> passes);
    /// Returns what the head found; empty on stages without it.
    Results const& results() const { return parts_.back()->results(); }
    std::vector<parallel::Stage*> stages() const;
    /// The part that is this stage's first chunk.
    TransformerStage& first() { return *parts_.front(); }

  private:
    std::vector<std::unique_ptr<TransformerStage>> parts_;
};

} // namespace trireme::framework::model
