// Derives the parameters of a model from its description alone.
#include <cmath>
#include <utility>
#include <vector>

#include "framework/model/frozen.hpp"
#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"

namespace trireme::framework::model {

namespace {

using parallel::Initial;
using parallel::ParameterSpec;
using parallel::TensorCut;

class SpecList {
  public:
    explicit SpecList(Config const& config)
        : deviation_(config.initializer_range), input_major_(config.input_major),
          norm_(config.norm_plus_one ? Initial::zeros : Initial::ones) {}

    void matrix(std::string const& name, std::int64_t rows, std::int64_t columns,
                std::string const& unit, int uses = 1) {
        if (!name.empty())
            specs_.push_back({.name = name,
                              .shape = {rows, columns},
                              .unit = unit,
                              .deviation = deviation_,
                              .uses = uses});
    }
    /// A table of one row per token, whose rows are divided over the tensor axis.
    void vocabulary(std::string const& name, std::int64_t rows, std::int64_t width,
                    std::string const& unit, int uses = 1) {
        matrix(name, rows, width, unit, uses);
        if (!name.empty()) specs_.back().cut = {.dim = 0, .groups = rows};
    }
    /// A block's layers that read the same x: [out, in], or [in, out] where the family keeps them
    /// so. `cut`: of the outputs. Weights come one after another, and biases: one product makes all
    /// outputs then (parallel/divided_linear.hpp).
    void column_linears(std::vector<std::pair<LinearNames, TensorCut>> const& layers,
                        std::int64_t in, std::string const& unit) {
        for (auto const& [names, cut] : layers)
            block_matrix(names.weight, cut.extent(), in, cut, true, unit);
        for (auto [names, cut] : layers) {
            if (names.bias.empty()) continue;
            vector(names.bias, cut.extent(), unit, Initial::zeros);
            cut.dim = 0;
            specs_.back().cut = cut;
        }
    }
    /// Adds a linear layer whose inputs are divided. Its bias is added after the sum over ranks, to
    /// each rank's own tokens.
    void row_linear(LinearNames const& names, std::int64_t out, TensorCut const& cut,
                    std::string const& unit) {
        block_matrix(names.weight, out, cut.extent(), cut, false, unit);
        vector(names.bias, out, unit, Initial::zeros);
        if (!names.bias.empty()) specs_.back().partial = true;
    }
    void vector(std::string const& name, std::int64_t size, std::string const& unit,
                Initial initial) {
        if (!name.empty())
            specs_.push_back(
                {.name = name, .shape = {size}, .unit = unit, .initial = initial, .decay = false});
    }
    void linear(LinearNames const& names, std::int64_t out, std::int64_t in,
                std::string const& unit) {
        matrix(names.weight, out, in, unit);
        vector(names.bias, out, unit, Initial::zeros);
    }
    /// Adds a norm over each rank's own tokens or heads: its gradient is a part of the sum.
    void norm(LinearNames const& names, std::int64_t width, std::string const& unit) {
        std::size_t const first = specs_.size();
        norm_alike(names, width, unit);
        for (std::size_t i = first; i < specs_.size(); ++i) specs_[i].partial = true;
    }
    /// Adds a norm that all ranks compute over the same rows.
    void norm_alike(LinearNames const& names, std::int64_t width, std::string const& unit) {
        vector(names.weight, width, unit, norm_);
        vector(names.bias, width, unit, Initial::zeros);
    }
    /// A score that each row of a divided table adds.
    void vocabulary_bias(std::string const& name, std::int64_t rows, std::string const& unit) {
        vector(name, rows, unit, Initial::zeros);
        if (!name.empty()) specs_.back().cut = {.dim = 0, .groups = rows};
    }
    /// Adds a linear layer that each rank applies to its own tokens.
    void own_linear(LinearNames const& names, std::int64_t out, std::int64_t in,
                    std::string const& unit) {
        own_rows(names.weight, out, in, unit);
        vector(names.bias, out, unit, Initial::zeros);
        if (!names.bias.empty()) specs_.back().partial = true;
    }
    /// Adds a norm over all heads of a token, of which a rank has some.
    void norm_over_ranks(LinearNames const& names, TensorCut cut, std::string const& unit) {
        cut.dim = 0;
        vector(names.weight, cut.extent(), unit, norm_);
        if (!names.weight.empty()) specs_.back().cut = cut;
    }
    /// A table that each rank reads for its own tokens.
    void own_rows(std::string const& name, std::int64_t rows, std::int64_t width,
                  std::string const& unit) {
        matrix(name, rows, width, unit);
        if (!name.empty()) specs_.back().partial = true;
    }
    /// A number of an activation, of which each rank computes some columns.
    void number(std::string const& name, double value, bool trainable, std::string const& unit) {
        vector(name, 1, unit, Initial::constant);
        if (name.empty()) return;
        specs_.back().value = value;
        specs_.back().trainable = trainable;
        specs_.back().scalar = !trainable;
        specs_.back().partial = trainable;
    }
    ParameterSpec& last() { return specs_.back(); }
    std::vector<ParameterSpec> take() { return std::move(specs_); }

  private:
    void block_matrix(std::string const& name, std::int64_t out, std::int64_t in, TensorCut cut,
                      bool outputs, std::string const& unit) {
        if (name.empty()) return;
        matrix(name, input_major_ ? in : out, input_major_ ? out : in, unit);
        cut.dim = outputs == input_major_ ? 1 : 0;
        specs_.back().input_major = input_major_;
        specs_.back().cut = cut;
    }

    double deviation_;
    bool input_major_;
    Initial norm_; ///< of norms' weights
    std::vector<ParameterSpec> specs_;
};

/// Begins as transformers does: with slopes of 0.8, of which the number is the inverse of softplus.
void list_activation(SpecList& list, LayerNames const& layer, std::string const& unit) {
    constexpr double kSlope = 0.8, kBeta = 0.5, kEpsilon = -1e-6;
    list.number(layer.activation_positive, std::log(std::expm1(kSlope)), true, unit);
    list.number(layer.activation_negative, std::log(std::expm1(kSlope - kBeta)), true, unit);
    list.number(layer.activation_beta, kBeta, false, unit);
    list.number(layer.activation_epsilon, kEpsilon, false, unit);
}

void list_layer(SpecList& list, Config const& c, std::int64_t i) {
    LayerNames const layer = layer_names(c, i);
    std::string const unit = "layers." + std::to_string(i);
    TensorCut const queries{.groups = c.kv_heads,
                            .items = c.heads / c.kv_heads,
                            .size = c.head_size,
                            .share = TensorCut::Share::divide};
    TensorCut const keys{
        .groups = c.kv_heads, .size = c.head_size, .share = TensorCut::Share::copy};
    TensorCut const inner{.groups = c.feed_forward};
    list.column_linears({{layer.query, queries}, {layer.key, keys}, {layer.value, keys}}, c.hidden,
                        unit);
    list.row_linear(layer.output, c.hidden, queries, unit);
    if (c.query_key_norm == QueryKeyNorm::whole) {
        list.norm_over_ranks(layer.query_norm, queries, unit);
        list.norm_over_ranks(layer.key_norm, keys, unit);
    } else {
        list.norm(layer.query_norm, c.head_size, unit);
        list.norm(layer.key_norm, c.head_size, unit);
    }
    list.norm(layer.attention_norm, c.hidden, unit);
    list.norm(layer.attention_output_norm, c.hidden, unit);
    list.column_linears({{layer.gate, inner}, {layer.up, inner}}, c.hidden, unit);
    list.row_linear(layer.down, c.hidden, inner, unit);
    list_activation(list, layer, unit);
    list.norm(layer.feed_forward_norm, c.hidden, unit);
    list.norm(layer.feed_forward_output_norm, c.hidden, unit);
}

} // namespace

std::vector<ParameterSpec> parameter_specs(Config const& c) {
    SpecList list(c);
    EmbeddingNames const embeddings = embedding_names(c);
    HeadNames const head = head_names(c);
    // [Note: tied embeddings] The token table is read by the embeddings and by the head; each use
    // has a gradient of its own and the unit is complete when the embeddings, last in the backward
    // pass, are done.
    bool const tied = c.tied_embeddings && traits_of(c.head).of_vocabulary();
    list.vocabulary(embeddings.tokens, c.vocabulary, c.hidden, tied ? "tied" : "embeddings",
                    tied ? 2 : 1);
    list.last().untrained_row = c.untrained_token;
    list.last().by_rows = !tied;
    list.own_rows(embeddings.positions, c.position_offset + c.max_positions, c.hidden,
                  "embeddings");
    if (c.position_offset > 0) list.last().untrained_row = c.position_offset - 1;
    list.own_rows(embeddings.segments, c.token_types, c.hidden, "embeddings");
    list.norm(embeddings.norm, c.hidden, "embeddings");
    for (std::int64_t i = 0; i < c.layers; ++i) list_layer(list, c, i);
    list.norm(head.norm, c.hidden, "head");
    list.linear(head.pooler, c.hidden, c.hidden, "head");
    list.norm_alike(head.pooler_norm, c.hidden, "head");
    list.linear(head.classifier, c.outputs(), c.hidden, "head");
    list.own_linear(head.transform, c.hidden, c.hidden, "head");
    list.norm(head.transform_norm, c.hidden, "head");
    list.vocabulary_bias(head.vocabulary_bias, c.vocabulary, "head");
    if (!tied) list.vocabulary(head.language_model, c.vocabulary, c.hidden, "head");
    std::vector<ParameterSpec> specs = list.take();
    for (auto& spec : specs) spec.trainable &= !is_frozen(c, spec.name);
    return specs;
}

} // namespace trireme::framework::model
