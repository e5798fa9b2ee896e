#include "framework/model/transformer.hpp"

#include <cmath>

#include "parallel/linear.hpp"

namespace trireme::framework {

namespace {

using parallel::linear;
using parallel::ParameterStore;
using parallel::ParameterUse;

ParameterUse find(ParameterStore& store, std::string const& name) {
    return name.empty() ? ParameterUse{} : ParameterUse{store.at(name)};
}
LinearUse find(ParameterStore& store, LinearNames const& names) {
    return {find(store, names.weight), find(store, names.bias)};
}
at::Tensor apply(LinearUse const& layer, at::Tensor const& x) {
    return linear(x, layer.weight, layer.bias);
}

at::Tensor normalize_as(ModelConfig const& config, at::Tensor const& x, LinearUse const& norm) {
    return config.norm == Norm::rms ? rms_norm(x, norm.weight, config.norm_epsilon)
                                    : layer_norm(x, norm.weight, norm.bias, config.norm_epsilon);
}

at::Tensor to_ids(std::vector<std::int32_t> const& values) {
    return at::tensor(values, at::kInt).to(at::kLong);
}

} // namespace

Pass make_pass(data::Slot slot, bool training, std::uint64_t seed, std::int64_t step, double loss_scale) {
    Pass pass{std::move(slot), {}, training, seed, step, loss_scale};
    pass.tokens = to_ids(pass.slot.tokens);
    return pass;
}

Stem::Stem(ModelConfig const& config, ParameterStore& store) : config_(config) {
    StemNames const names = stem_names(config);
    tokens_ = find(store, names.tokens);
    positions_ = find(store, names.positions);
    segments_ = find(store, names.segments);
    norm_ = find(store, names.norm);
}

at::Tensor Stem::forward(at::Tensor const& anchor, Pass const& pass) const {
    at::Tensor x = parallel::embedding(anchor, pass.tokens, tokens_);
    if (positions_) x = x + parallel::embedding(anchor, to_ids(pass.slot.positions), positions_);
    if (segments_) x = x + parallel::embedding(anchor, to_ids(pass.slot.segments), segments_);
    if (norm_.weight) x = normalize_as(config_, x, norm_);
    return dropout(x, config_.embedding_dropout, pass, site_id(Site::embeddings));
}

TransformerLayer::TransformerLayer(ModelConfig const& config, ParameterStore& store, std::int64_t index)
    : config_(config), index_(index) {
    LayerNames const names = layer_names(config, index);
    query_ = find(store, names.query);
    key_ = find(store, names.key);
    value_ = find(store, names.value);
    output_ = find(store, names.output);
    query_norm_ = find(store, names.query_norm);
    key_norm_ = find(store, names.key_norm);
    gate_ = find(store, names.gate);
    up_ = find(store, names.up);
    down_ = find(store, names.down);
    attention_norm_ = find(store, names.attention_norm);
    feed_forward_norm_ = find(store, names.feed_forward_norm);
}

at::Tensor TransformerLayer::normalize(at::Tensor const& x, LinearUse const& norm) const {
    return normalize_as(config_, x, norm);
}

at::Tensor TransformerLayer::forward(at::Tensor const& x, RotaryTable const& table, Pass const& pass) const {
    if (config_.norm_first) {
        at::Tensor const h = x + attend(normalize(x, attention_norm_), table, pass);
        return h + feed_forward(normalize(h, feed_forward_norm_), pass);
    }
    at::Tensor const h = normalize(x + attend(x, table, pass), attention_norm_);
    return normalize(h + feed_forward(h, pass), feed_forward_norm_);
}

at::Tensor TransformerLayer::attend(at::Tensor const& x, RotaryTable const& table, Pass const& pass) const {
    at::Tensor q = apply(query_, x), k = apply(key_, x);
    at::Tensor const v = apply(value_, x);
    if (config_.head_norms) {
        q = rms_norm_heads(q, query_norm_.weight, config_.norm_epsilon);
        k = rms_norm_heads(k, key_norm_.weight, config_.norm_epsilon);
    }
    if (config_.positions == Positions::rotary) {
        q = rotary(q, config_.heads, table, pass);
        k = rotary(k, config_.key_heads, table, pass);
    }
    at::Tensor const mixed = apply(output_, attention(q, k, v, attention_shape(), pass));
    return dropout(mixed, config_.hidden_dropout, pass, site_id(Site::attention_output, index_));
}

AttentionShape TransformerLayer::attention_shape() const {
    auto const layer = static_cast<std::size_t>(index_);
    return {.heads = config_.heads,
            .key_heads = config_.key_heads,
            .head_size = config_.head_size,
            .causal = config_.causal,
            .window = config_.windows.empty() ? 0 : config_.windows[layer],
            .scale = config_.attention_scale.empty() ? 1.0 / std::sqrt(static_cast<double>(config_.head_size))
                                                     : config_.attention_scale[layer],
            .dropout = config_.attention_dropout,
            .site = site_id(Site::attention, index_)};
}

at::Tensor TransformerLayer::feed_forward(at::Tensor const& x, Pass const& pass) const {
    at::Tensor const up = apply(up_, x);
    at::Tensor const inner = config_.gated ? gated_silu(apply(gate_, x), up) : activate(up, config_.activation);
    return dropout(apply(down_, inner), config_.hidden_dropout, pass, site_id(Site::feed_forward_output, index_));
}

Head::Head(ModelConfig const& config, ParameterStore& store) : config_(config) {
    HeadNames const names = head_names(config);
    norm_ = find(store, names.norm);
    pooler_ = find(store, names.pooler);
    classifier_ = find(store, names.classifier);
    if (!names.language_model.empty())
        language_model_ = ParameterUse{store.at(names.language_model), config.tied_embeddings ? 1 : 0};
}

at::Tensor Head::forward(at::Tensor const& x, Pass const& pass, Results& results) const {
    at::Tensor const h = norm_.weight ? normalize_as(config_, x, norm_) : x;
    if (config_.head == HeadKind::language_model) return language_model_loss(h, language_model_, pass, results);
    return classification_loss(classify(h, pass), pass, results);
}

at::Tensor Head::logits(at::Tensor const& x, Pass const& pass) const {
    at::Tensor const h = norm_.weight ? normalize_as(config_, x, norm_) : x;
    return config_.head == HeadKind::language_model ? linear(h, language_model_) : classify(h, pass);
}

at::Tensor Head::classify(at::Tensor h, Pass const& pass) const {
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i + 1 < pass.slot.offsets.size(); ++i)
        rows.push_back(config_.causal ? pass.slot.offsets[i + 1] - 1 : pass.slot.offsets[i]);
    h = h.index_select(0, at::tensor(rows, at::kLong));
    if (pooler_.weight) h = at::tanh(apply(pooler_, h));
    h = dropout_rows(h, config_.classifier_dropout, pass, rows, site_id(Site::classifier));
    return apply(classifier_, h);
}

} // namespace trireme::framework
