#include "framework/model/transformer.hpp"

#include <cmath>

#include "framework/model/heads.hpp"
#include "parallel/linear.hpp"

namespace trireme::framework::model {

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

at::Tensor normalize_as(Config const& config, at::Tensor const& x, LinearUse const& norm) {
    return config.norm == Norm::rms ? rms_norm(x, norm.weight, config.norm_epsilon)
                                    : layer_norm(x, norm.weight, norm.bias, config.norm_epsilon);
}

/// The ids of this rank's stretch of the sequence.
at::Tensor own_ids(at::Tensor const& ids, parallel::TensorAxis const& axis) {
    std::int64_t const rows = ids.size(0) / axis.size();
    return ids.narrow(0, axis.rank() * rows, rows);
}

/// A padded query head looks evenly at whatever its kv head has: what it found must not reach the
/// output's weights.
at::Tensor clear_padding(at::Tensor const& x, parallel::TensorSlice const& slice) {
    if (slice.real == slice.local) return x;
    return at::cat({x.narrow(1, 0, slice.real), x.new_zeros({x.size(0), slice.local - slice.real})},
                   1);
}

/// The last token of sample i that is not `pad`; the first, if all are.
std::int64_t last_token(data::MicroBatch const& micro_batch, std::size_t i, std::int64_t pad) {
    std::int64_t t = micro_batch.offsets[i + 1] - 1;
    while (t > micro_batch.offsets[i] && micro_batch.tokens[static_cast<std::size_t>(t)] == pad)
        --t;
    return t;
}

} // namespace

Embeddings::Embeddings(Config const& config, ParameterStore& store, BlockOptions const& options)
    : config_(config), options_(options) {
    EmbeddingNames const names = embedding_names(config);
    tokens_ = find(store, names.tokens);
    positions_ = find(store, names.positions);
    segments_ = find(store, names.segments);
    norm_ = find(store, names.norm);
}

at::Tensor Embeddings::forward(at::Tensor const& anchor, Pass const& pass) const {
    auto const& axis = options_.tensor;
    at::Tensor x = parallel::row_embedding(anchor, pass.ids.tokens, tokens_, axis);
    if (positions_)
        x = x + parallel::embedding(anchor, own_ids(pass.ids.positions, axis), positions_);
    if (segments_) x = x + parallel::embedding(anchor, own_ids(pass.ids.segments, axis), segments_);
    if (norm_.weight) x = normalize_as(config_, x, norm_);
    return dropout(x, config_.embedding_dropout, pass, site_id(Site::embeddings), axis.rank());
}

TransformerLayer::TransformerLayer(Config const& config, ParameterStore& store, std::int64_t index,
                                   BlockOptions const& options)
    : config_(config), options_(options), index_(index) {
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

at::Tensor TransformerLayer::forward(at::Tensor const& x, RotaryTable const& table,
                                     Pass const& pass) const {
    if (config_.norm_first) {
        at::Tensor const h = x + attend(normalize(x, attention_norm_), table, pass);
        return h + feed_forward(normalize(h, feed_forward_norm_), pass);
    }
    at::Tensor const h = normalize(x + attend(x, table, pass), attention_norm_);
    return normalize(h + feed_forward(h, pass), feed_forward_norm_);
}

at::Tensor TransformerLayer::attend(at::Tensor const& x, RotaryTable const& table,
                                    Pass const& pass) const {
    at::Tensor const whole = parallel::gather_sequence(x, options_.tensor);
    at::Tensor q = apply(query_, whole), k = apply(key_, whole);
    at::Tensor const v = apply(value_, whole);
    AttentionShape const shape = attention_shape();
    if (config_.qk_norm) {
        q = rms_norm_heads(q, query_norm_.weight, config_.norm_epsilon);
        k = rms_norm_heads(k, key_norm_.weight, config_.norm_epsilon);
    }
    if (config_.positions == Positions::rotary) {
        q = apply_rotary(q, shape.heads, table, pass);
        k = apply_rotary(k, shape.kv_heads, table, pass);
    }
    at::Tensor const seen = pass.cache ? pass.cache->attend(index_, q, k, v, shape, pass)
                                       : attention(q, k, v, shape, pass);
    at::Tensor const heads = clear_padding(seen, query_.weight.parameter().slice());
    at::Tensor const attended =
        parallel::row_linear(heads, output_.weight, output_.bias, options_.tensor);
    return dropout(attended, config_.hidden_dropout, pass, site_id(Site::attention_output, index_),
                   options_.tensor.rank());
}

AttentionShape TransformerLayer::attention_shape() const {
    auto const layer = static_cast<std::size_t>(index_);
    // This rank's heads, padded ones included.
    auto const& queries = query_.weight.parameter().slice();
    auto const& keys = key_.weight.parameter().slice();
    return {.heads = queries.local / config_.head_size,
            .kv_heads = keys.local / config_.head_size,
            .head_size = config_.head_size,
            .causal = config_.causal,
            .window = config_.windows.empty() ? 0 : config_.windows[layer],
            .scale = config_.attention_scale.empty()
                         ? 1.0 / std::sqrt(static_cast<double>(config_.head_size))
                         : config_.attention_scale[layer],
            .dropout = config_.attention_dropout,
            .site = site_id(Site::attention, index_),
            .first_head = queries.first / config_.head_size,
            .recompute = options_.recompute_attention};
}

at::Tensor TransformerLayer::feed_forward(at::Tensor const& x, Pass const& pass) const {
    at::Tensor const whole = parallel::gather_sequence(x, options_.tensor), up = apply(up_, whole);
    at::Tensor const inner =
        config_.gated ? gated_silu(apply(gate_, whole), up) : activate(up, config_.activation);
    at::Tensor const y = parallel::row_linear(inner, down_.weight, down_.bias, options_.tensor);
    return dropout(y, config_.hidden_dropout, pass, site_id(Site::feed_forward_output, index_),
                   options_.tensor.rank());
}

Head::Head(Config const& config, ParameterStore& store, BlockOptions const& options)
    : config_(config), options_(options) {
    HeadNames const names = head_names(config);
    norm_ = find(store, names.norm);
    pooler_ = find(store, names.pooler);
    classifier_ = find(store, names.classifier);
    transform_ = find(store, names.transform);
    transform_norm_ = find(store, names.transform_norm);
    vocabulary_bias_ = find(store, names.vocabulary_bias);
    if (!names.language_model.empty())
        language_model_ =
            ParameterUse{store.at(names.language_model), config.tied_embeddings ? 1 : 0};
}

at::Tensor Head::forward(at::Tensor const& x, Pass const& pass, Results& results) const {
    at::Tensor const h = transform(norm_.weight ? normalize_as(config_, x, norm_) : x);
    auto const& axis = options_.tensor;
    if (traits_of(config_.head).of_vocabulary())
        return language_model_loss(parallel::gather_sequence(h, axis),
                                   {language_model_, vocabulary_bias_}, pass, results, axis);
    return rows_loss(config_, classify(parallel::gather_sequence_alike(h, axis), pass), pass,
                     results);
}

at::Tensor Head::logits(at::Tensor const& x, Pass const& pass) const {
    at::Tensor const h = transform(norm_.weight ? normalize_as(config_, x, norm_) : x);
    return traits_of(config_.head).of_vocabulary() ? linear(h, language_model_, vocabulary_bias_)
                                                   : classify(h, pass);
}

at::Tensor Head::transform(at::Tensor const& x) const {
    if (!transform_.weight) return x;
    return normalize_as(config_, activate(apply(transform_, x), config_.activation),
                        transform_norm_);
}

at::Tensor Head::classify(at::Tensor h, Pass const& pass) const {
    HeadTraits const head = traits_of(config_.head);
    if (head.rows == data::Per::token) { // that of places has no dropout, as in transformers
        if (head.learns == data::Values::labels)
            h = dropout(h, config_.classifier_dropout, pass, site_id(Site::classifier));
        return apply(classifier_, h);
    }
    std::vector<std::int64_t> rows;
    for (std::size_t i = 0; i + 1 < pass.micro_batch.offsets.size(); ++i)
        rows.push_back(config_.causal ? last_token(pass.micro_batch, i, config_.pad_token)
                                      : pass.micro_batch.offsets[i]);
    // The meta device selects no rows: as many of the first ones have the shape.
    h = h.is_meta() ? h.narrow(0, 0, static_cast<std::int64_t>(rows.size()))
                    : h.index_select(0, on_device(rows, h.device()));
    if (pooler_.weight) h = at::tanh(apply(pooler_, h));
    h = dropout_rows(h, config_.classifier_dropout, pass, rows, site_id(Site::classifier));
    return apply(classifier_, h);
}

} // namespace trireme::framework::model
