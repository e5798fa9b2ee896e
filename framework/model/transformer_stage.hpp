// A part of a model as the engine runs it: its blocks (embeddings, layers, head), and the
// micro-batches of the current step.
#pragma once
#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "framework/model/transformer.hpp"
#include "parallel/stage.hpp"

namespace trireme::framework::model {

/// The specs of all parameters of a model, in model order, for ParameterStore. A tied embedding has
/// two uses and a unit of its own.
std::vector<parallel::ParameterSpec> parameter_specs(Config const& config);
/// The layer whose parameters a unit holds; -1: none ("embeddings", "tied", "head").
std::int64_t layer_of(std::string const& unit);

/// Layers [first_layer, last_layer) of a model, and what stands before and after them.
struct PartRange {
    std::int64_t first_layer = 0, last_layer = 0;
    bool embeddings = true, head = true;
};

class TransformerStage : public parallel::Stage {
  public:
    /// The whole model. `config` and `store` must outlive the stage.
    TransformerStage(Config const& config, parallel::ParameterStore& store);
    TransformerStage(Config const& config, parallel::ParameterStore& store, PartRange const& range,
                     BlockOptions const& options = {});

    /// This rank's micro-batches of the step to come, one per micro-step. Clears the results of the
    /// last.
    void load(std::vector<Pass> passes);
    void load(std::shared_ptr<std::vector<Pass> const> passes);
    /// Returns what the head found. Waits for the GPU if there is one.
    Results const& results() const {
        results_.read_back();
        return results_;
    }

    /// Logits of one micro-batch by a stage that holds the whole model, without a graph: [T, V] of
    /// a language model, else [samples, classes].
    at::Tensor logits(Pass const& pass) const;
    /// Runs this part's layers, and the embeddings before them if it has them, without the head:
    /// takes [T, D] of the part before (anything on the first) and gives [T, D] for the part after.
    /// No graph is recorded. Local.
    at::Tensor layers_of(Pass const& pass, at::Tensor const& input) const;
    /// Computes, on the part with a language model's head, the logits of what follows the last
    /// token of each sample, [n, V]; `hidden` is the result of layers_of. No graph is recorded.
    /// Local.
    at::Tensor next_logits(Pass const& pass, at::Tensor const& hidden) const;

    std::size_t block_count() const override { return blocks_.size(); }
    std::vector<std::size_t> const& units_read_by(std::size_t block) const override {
        return blocks_[block].read;
    }
    std::vector<std::size_t> const& units_read_back_by(std::size_t block) const override {
        return blocks_[block].read_back;
    }
    std::vector<std::size_t> const& units_completed_by(std::size_t block) const override {
        return blocks_[block].completed;
    }
    std::vector<std::int64_t> input_shape(std::int64_t micro_step) const override {
        return shape_behind(range_.first_layer, micro_step);
    }
    std::vector<std::int64_t> output_shape(std::int64_t micro_step) const override {
        return shape_behind(range_.last_layer, micro_step);
    }
    at::TensorOptions boundary_options() const override { return boundary_; }
    bool may_recompute(std::size_t block) const override {
        auto const kind = blocks_[block].kind;
        return kind == Block::Kind::layer ||
               (kind == Block::Kind::embeddings && embeddings_->keeps_activations());
    }
    at::Tensor forward(std::size_t block, at::Tensor const& input,
                       std::int64_t micro_step) override;

  private:
    struct Block {
        enum class Kind : std::uint8_t { embeddings, layer, head } kind;
        std::size_t layer = 0; ///< place in layers_
        std::vector<std::size_t> read = {}, read_back = {}, completed = {};
    };
    at::Tensor run(TransformerLayer const& layer, at::Tensor const& x, Pass const& pass,
                   Tokens tokens = nullptr) const {
        return layer.forward(x, layer.rotary() == LayerRotary::local ? local_rotary_ : rotary_,
                             pass, tokens);
    }
    at::Tensor run_layer(std::size_t layer, at::Tensor const& x, Pass const& pass) const;
    /// Says whether what follows attention in the model's last layer is computed for those tokens
    /// alone that the head reads. No part may decide it by what it holds, or the sums of a product
    /// would round another way in another layout.
    bool chooses_rows(Pass const& pass) const;
    /// Returns the shape of what the model's first `layers` layers leave.
    std::vector<std::int64_t> shape_behind(std::int64_t layers, std::int64_t micro_step) const;
    void find_units(parallel::ParameterStore const& store, PartRange const& range);

    Config const& config_;
    PartRange range_;
    BlockOptions options_;
    at::TensorOptions boundary_;
    RotaryTable rotary_, local_rotary_; ///< local: empty if no layer uses it
    std::optional<Embeddings> embeddings_;
    std::vector<TransformerLayer> layers_;
    std::optional<Head> head_;
    std::vector<Block> blocks_;
    std::shared_ptr<std::vector<Pass> const> passes_;
    mutable Results results_; ///< reading it back is no change
};

} // namespace trireme::framework::model
