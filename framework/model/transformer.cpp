#include "framework/model/transformer.hpp"

#include <cmath>

#include "framework/model/chosen_rows.hpp"
#include "framework/model/embedding_halves.hpp"
#include "framework/model/heads.hpp"
#include "framework/model/token_rows.hpp"
#include "parallel/compute_path.hpp"
#include "parallel/divided_linear.hpp"

namespace trireme::framework::model {

namespace {

using parallel::linear;
using parallel::Outputs;
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

RmsOptions rms_of(Config const& config) {
    return {config.norm_epsilon, config.norm_plus_one};
}
NormUse use_of(Config const& config, LinearUse const& norm) {
    return {config.norm, norm.weight, norm.bias, rms_of(config)};
}
at::Tensor normalize_as(Config const& config, at::Tensor const& x, LinearUse const& norm) {
    return normalize(x, use_of(config, norm));
}

/// A padded query head looks evenly at whatever its kv head has, and an activation may be no zero
/// where its input is one: what is found there must not reach the output's weights.
at::Tensor clear_padding(at::Tensor const& x, parallel::TensorSlice const& slice) {
    if (slice.real == slice.local) return x;
    return at::cat({x.narrow(1, 0, slice.real), x.new_zeros({x.size(0), slice.local - slice.real})},
                   1);
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
    at::Tensor const rows =
        scaled_rows(parallel::row_embedding(anchor, pass.ids.tokens, tokens_, axis), config_);
    at::Tensor const x =
        with_places(rows, {config_, positions_, segments_, norm_}, anchor, pass, axis);
    return dropout(x, {config_.embedding_dropout, pass, site_id(Site::embeddings), axis.rank()});
}

at::Tensor with_places(at::Tensor const& rows, PlaceTables const& tables, at::Tensor const& anchor,
                       Pass const& pass, parallel::TensorAxis const& axis) {
    auto const& [config, positions, segments, norm] = tables;
    at::Tensor x = rows;
    if (positions) {
        at::Tensor const own = own_ids(position_rows(pass, config.position_offset), axis);
        x = x + parallel::embedding(anchor, own, positions);
    }
    if (segments) x = x + parallel::embedding(anchor, own_ids(pass.ids.segments, axis), segments);
    return norm.weight ? normalize_as(config, x, norm) : x;
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
    attention_output_norm_ = find(store, names.attention_output_norm);
    feed_forward_output_norm_ = find(store, names.feed_forward_output_norm);
    xielu_ = {find(store, names.activation_positive), find(store, names.activation_negative),
              find(store, names.activation_beta), find(store, names.activation_epsilon)};
}

LayerRotary TransformerLayer::rotary() const {
    if (config_.positions != Positions::rotary) return LayerRotary::none;
    return config_.layer_rotary.empty() ? LayerRotary::main
                                        : config_.layer_rotary[static_cast<std::size_t>(index_)];
}

/// The input of attention or feed-forward, and what goes on beside it.
Residual TransformerLayer::before(at::Tensor const& x, LinearUse const& norm) const {
    if (!config_.norm_first || !norm.weight) return {x, x};
    return normalize_beside(x, use_of(config_, norm));
}

/// Adds what attention or feed-forward found, and reads the sum by the norm that follows it at
/// once: its own where norms come after (BERT), else `next`, if there is one.
Residual TransformerLayer::add(at::Tensor const& x, at::Tensor const& part, Norms const& norms,
                               DropoutUse const& dropped) const {
    bool const changes = norms.output.weight || config_.residual_scale != 1;
    at::Tensor y = changes ? dropout(part, dropped) : part;
    if (norms.output.weight) y = normalize_as(config_, y, norms.output);
    if (config_.residual_scale != 1) y = y * config_.residual_scale;
    DropoutUse drop = dropped;
    if (changes) drop.probability = 0;
    if (!config_.norm_first) {
        at::Tensor const normal = normalize_sum(x, y, drop, use_of(config_, norms.own));
        return {normal, normal};
    }
    if (norms.next && norms.next->weight)
        return add_and_normalize(x, y, drop, use_of(config_, *norms.next));
    at::Tensor const sum = add_dropped(x, y, drop);
    return {sum, sum};
}

DropoutUse TransformerLayer::hidden_dropout(Pass const& pass, Site site, Tokens tokens) const {
    return {config_.hidden_dropout, pass, site_id(site, index_), options_.tensor.rank(), tokens};
}

at::Tensor TransformerLayer::forward(at::Tensor const& x, RotaryTable const& table,
                                     Pass const& pass, Tokens tokens) const {
    Residual first = before(x, attention_norm_);
    at::Tensor const kept = tokens ? choose_rows(first.sum, *tokens) : first.sum;
    at::Tensor seen = tokens && leaves_out_queries(x, pass) ? attend_from(kept, x, pass, tokens)
                                                            : attend(first, table, pass);
    if (tokens) first.sum = kept, seen = choose_rows(seen, *tokens);
    bool const apart = config_.parallel_residual;
    Residual second = apart ? before(first.sum, feed_forward_norm_) : Residual{};
    at::Tensor fed = apart ? feed_forward(second) : at::Tensor();
    Residual h =
        add(apart ? second.sum : first.sum, parallel::row_linear(seen, output_, options_.tensor),
            {attention_output_norm_, attention_norm_, apart ? nullptr : &feed_forward_norm_},
            hidden_dropout(pass, Site::attention_output, tokens));
    if (!apart) fed = feed_forward(h);
    h = add(h.sum, fed, {feed_forward_output_norm_, feed_forward_norm_, nullptr},
            hidden_dropout(pass, Site::feed_forward_output, tokens));
    return h.sum;
}

at::Tensor TransformerLayer::attend(Residual& x, RotaryTable const& table, Pass const& pass) const {
    bool const normed = config_.query_key_norm != QueryKeyNorm::none; // norms read whole rows
    auto const outputs = normed ? Outputs::apart : Outputs::side_by_side;
    auto const made = normalized_linears(x, use_of(config_, attention_norm_),
                                         {&query_, &key_, &value_}, options_.tensor, outputs);
    at::Tensor q = made[0], k = made[1], v = made[2];
    AttentionShape const shape = attention_shape();
    if (config_.query_key_norm == QueryKeyNorm::heads) {
        q = rms_norm_heads(q, query_norm_.weight, rms_of(config_));
        k = rms_norm_heads(k, key_norm_.weight, rms_of(config_));
    } else if (config_.query_key_norm == QueryKeyNorm::whole) {
        q = rms_norm_over_ranks(q, query_norm_.weight, rms_of(config_), options_.tensor);
        k = rms_norm_over_ranks(k, key_norm_.weight, rms_of(config_), options_.tensor);
    }
    if (rotary() != LayerRotary::none) {
        AttentionInputs const in = apply_rotary({q, k, v}, shape, table, pass, !normed);
        q = in.queries, k = in.keys, v = in.values;
    }
    at::Tensor const seen = pass.cache ? pass.cache->attend(index_, q, k, v, shape, pass)
                                       : attention(q, k, v, shape, pass);
    return clear_padding(seen, query_.weight.parameter().slice());
}

bool TransformerLayer::leaves_out_queries(at::Tensor const& x, Pass const& pass) const {
    return !config_.norm_first && rotary() == LayerRotary::none && !pass.cache &&
           config_.query_key_norm == QueryKeyNorm::none && !parallel::composed(x);
}

at::Tensor TransformerLayer::attend_from(at::Tensor const& rows, at::Tensor const& x,
                                         Pass const& pass, Tokens asking) const {
    auto const made = parallel::column_linears(x, {&key_, &value_}, options_.tensor);
    return attention(apply(query_, rows), made[0], made[1], attention_shape(), pass, asking);
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
            .recompute = options_.recompute_attention,
            .cap = config_.attention_cap};
}

at::Tensor TransformerLayer::feed_forward(Residual& x) const {
    auto const layers = config_.gated ? std::vector{&gate_, &up_} : std::vector{&up_};
    auto const made = normalized_linears(x, use_of(config_, feed_forward_norm_), layers,
                                         options_.tensor, Outputs::side_by_side);
    at::Tensor const& up = made.back();
    if (config_.gated)
        return gated_linear(made.front(), up, config_.activation, down_, options_.tensor);
    at::Tensor const inner = config_.activation == Activation::xielu
                                 ? clear_padding(xielu(up, xielu_), up_.weight.parameter().slice())
                                 : activate(up, config_.activation);
    return parallel::row_linear(inner, down_, options_.tensor);
}

Head::Head(Config const& config, ParameterStore& store, BlockOptions const& options)
    : config_(config), options_(options) {
    HeadNames const names = head_names(config);
    norm_ = find(store, names.norm);
    pooler_ = find(store, names.pooler);
    pooler_norm_ = find(store, names.pooler_norm);
    classifier_ = find(store, names.classifier);
    transform_ = find(store, names.transform);
    transform_norm_ = find(store, names.transform_norm);
    vocabulary_bias_ = find(store, names.vocabulary_bias);
    if (!names.language_model.empty())
        language_model_ =
            ParameterUse{store.at(names.language_model), config.tied_embeddings ? 1 : 0};
}

/// The logits' scale is a factor of what they are made of.
at::Tensor Head::normalized(at::Tensor const& x) const {
    at::Tensor const h = transform(norm_.weight ? normalize_as(config_, x, norm_) : x);
    bool const scales = traits_of(config_.head).of_vocabulary() && config_.logits_scale != 1;
    return scales ? h * config_.logits_scale : h;
}

at::Tensor Head::forward(at::Tensor const& x, Pass const& pass, Results& results) const {
    at::Tensor const h = normalized(x);
    auto const& axis = options_.tensor;
    if (pass.base_output) {
        *pass.base_output = {pass.base_output->weight, h, language_model_, vocabulary_bias_,
                             config_.logits_cap};
        return at::zeros({}, h.options().dtype(at::kDouble));
    }
    if (traits_of(config_.head).of_vocabulary())
        return language_model_loss(parallel::gather_sequence(h, axis),
                                   {language_model_, config_.logits_cap, vocabulary_bias_}, pass,
                                   results, axis);
    return rows_loss(config_, classify(parallel::gather_sequence_alike(h, axis), pass), pass,
                     results);
}

at::Tensor Head::logits(at::Tensor const& x, Pass const& pass) const {
    at::Tensor const h = normalized(x);
    if (!traits_of(config_.head).of_vocabulary()) return classify(h, pass);
    at::Tensor const logits = linear(h, language_model_, vocabulary_bias_);
    return config_.logits_cap > 0 ? at::tanh(logits / config_.logits_cap) * config_.logits_cap
                                  : logits;
}

at::Tensor Head::transform(at::Tensor const& x) const {
    if (!transform_.weight) return x;
    return normalize_as(config_, activate(apply(transform_, x), config_.transform_activation),
                        transform_norm_);
}

at::Tensor Head::classify(at::Tensor h, Pass const& pass) const {
    HeadTraits const head = traits_of(config_.head);
    if (head.rows == data::Per::token)
        return apply(classifier_,
                     dropout(h, {config_.classifier_dropout, pass, site_id(Site::classifier)}));
    bool const each = config_.pooling == Pooling::mean_of_outputs;
    std::vector<std::int64_t> const rows = rows_read(pass.micro_batch, config_);
    if (!each)
        h = config_.pooling == Pooling::mean ? mean_of_samples(h, pass) : choose_rows(h, rows);
    auto const drop = [&](Site site) {
        h = dropout(h,
                    {config_.classifier_dropout, pass, site_id(site), 0, each ? nullptr : &rows});
    };
    if (config_.dropout_before_pooler) drop(Site::pooler);
    if (pooler_.weight) h = activate(apply(pooler_, h), config_.pooled_activation);
    if (pooler_norm_.weight) h = normalize_as(config_, h, pooler_norm_);
    drop(Site::classifier);
    at::Tensor const outputs = apply(classifier_, h);
    return each ? mean_of_samples(outputs, pass) : outputs;
}

} // namespace trireme::framework::model
