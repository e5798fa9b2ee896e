// What parameters a model has, from its description alone.
#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"

namespace trireme::framework {

namespace {

using parallel::Initial;
using parallel::ParameterSpec;

class SpecList {
  public:
    SpecList(double deviation, bool input_major) : deviation_(deviation), input_major_(input_major) {}

    void matrix(std::string const& name, std::int64_t rows, std::int64_t columns, std::string const& unit,
                int uses = 1) {
        if (!name.empty())
            specs_.push_back(
                {.name = name, .shape = {rows, columns}, .unit = unit, .deviation = deviation_, .uses = uses});
    }
    /// One of a block's layers: [out, in], or [in, out] where the family keeps them so.
    void block_linear(LinearNames const& names, std::int64_t out, std::int64_t in, std::string const& unit) {
        matrix(names.weight, input_major_ ? in : out, input_major_ ? out : in, unit);
        if (!names.weight.empty()) specs_.back().input_major = input_major_;
        vector(names.bias, out, unit, Initial::zeros);
    }
    void vector(std::string const& name, std::int64_t size, std::string const& unit, Initial initial) {
        if (!name.empty())
            specs_.push_back({.name = name, .shape = {size}, .unit = unit, .initial = initial, .decay = false});
    }
    void linear(LinearNames const& names, std::int64_t out, std::int64_t in, std::string const& unit) {
        matrix(names.weight, out, in, unit);
        vector(names.bias, out, unit, Initial::zeros);
    }
    void norm(LinearNames const& names, std::int64_t width, std::string const& unit) {
        vector(names.weight, width, unit, Initial::ones);
        vector(names.bias, width, unit, Initial::zeros);
    }
    std::vector<ParameterSpec> take() { return std::move(specs_); }

  private:
    double deviation_;
    bool input_major_;
    std::vector<ParameterSpec> specs_;
};

} // namespace

std::vector<ParameterSpec> parameter_specs(ModelConfig const& c) {
    SpecList list(c.initializer_range, c.input_major);
    StemNames const stem = stem_names(c);
    HeadNames const head = head_names(c);
    // [Note: tied embeddings] The token table is read by the stem and by the head; each use has a gradient of its own
    // and the unit is complete when the stem, the last in the backward pass, is done.
    bool const tied = c.tied_embeddings && c.head == HeadKind::language_model;
    list.matrix(stem.tokens, c.vocabulary, c.hidden, tied ? "tied" : "embeddings", tied ? 2 : 1);
    list.matrix(stem.positions, c.max_positions, c.hidden, "embeddings");
    list.matrix(stem.segments, c.token_types, c.hidden, "embeddings");
    list.norm(stem.norm, c.hidden, "embeddings");
    for (std::int64_t i = 0; i < c.layers; ++i) {
        LayerNames const layer = layer_names(c, i);
        std::string const unit = "layers." + std::to_string(i);
        std::int64_t const q = c.heads * c.head_size, kv = c.key_heads * c.head_size;
        list.block_linear(layer.query, q, c.hidden, unit);
        list.block_linear(layer.key, kv, c.hidden, unit);
        list.block_linear(layer.value, kv, c.hidden, unit);
        list.block_linear(layer.output, c.hidden, q, unit);
        list.norm(layer.query_norm, c.head_size, unit);
        list.norm(layer.key_norm, c.head_size, unit);
        list.norm(layer.attention_norm, c.hidden, unit);
        list.block_linear(layer.gate, c.feed_forward, c.hidden, unit);
        list.block_linear(layer.up, c.feed_forward, c.hidden, unit);
        list.block_linear(layer.down, c.hidden, c.feed_forward, unit);
        list.norm(layer.feed_forward_norm, c.hidden, unit);
    }
    list.norm(head.norm, c.hidden, "head");
    list.linear(head.pooler, c.hidden, c.hidden, "head");
    list.linear(head.classifier, static_cast<std::int64_t>(c.labels.size()), c.hidden, "head");
    if (!tied) list.matrix(head.language_model, c.vocabulary, c.hidden, "head");
    return list.take();
}

} // namespace trireme::framework
