// Readers of config.json for decoders that differ from Llama by more than a bias or a window.
#include <cmath>

#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

std::vector<double> gpt2_attention_scale(Fields& fields, model::Config const& c) {
    bool const by_size = fields.get("scale_attn_weights", true),
               by_layer = fields.get("scale_attn_by_inverse_layer_idx", false);
    if (by_size && !by_layer) return {};
    std::vector<double> scale;
    for (std::int64_t layer = 0; layer < c.layers; ++layer)
        scale.push_back((by_size ? 1.0 / std::sqrt(static_cast<double>(c.head_size)) : 1.0) /
                        (by_layer ? static_cast<double>(layer + 1) : 1.0));
    return scale;
}

/// True for all but each `period`-th layer.
auto all_but_each(std::int64_t period) {
    return [period](std::int64_t layer) { return (layer + 1) % period != 0; };
}

void read_olmo(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.positions = 2048, .epsilon = 1e-5, .pad_token = 1});
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    require_none(fields, {"mlp_bias"});
    c.query_key_norm = model::QueryKeyNorm::whole;
}

/// Reads what both Gemmas have. Their embeddings are multiplied by a number of the weights' dtype.
void read_gemma(Fields& fields, model::Config& c, std::int64_t positions) {
    read_decoder(fields, c,
                 {.kv_heads = 4,
                  .head_size = 256,
                  .positions = positions,
                  .tied = true,
                  .pad_token = 0,
                  .activation = "gelu_pytorch_tanh",
                  .activation_field = "hidden_activation"});
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    require_none(fields, {"mlp_bias", "use_bidirectional_attention"});
    c.norm_plus_one = c.round_embedding_scale = true;
    c.embedding_scale = std::sqrt(static_cast<double>(c.hidden));
    c.attention_scale.assign(static_cast<std::size_t>(c.layers),
                             1.0 / std::sqrt(fields.positive_real("query_pre_attn_scalar", 256)));
}

/// Reads the windows of a family whose layers slide unless layer_types says otherwise. transformers
/// computes nothing for such a layer without a window.
std::vector<std::int64_t> sliding_but_each(Fields& fields, model::Config const& c,
                                           std::int64_t period) {
    std::int64_t const window = window_of(fields, 4096);
    if (!window && !fields.has("layer_types"))
        fields.refuse("sliding_window",
                      "a whole number > 0, or layer_types of full_attention alone");
    return layer_windows(fields, c, window, all_but_each(period));
}

/// null is no cap.
double cap_of(Fields& fields, char const* name, double otherwise) {
    if (!fields.has(name) && (fields.contains(name) || otherwise == 0)) {
        fields.ignore({name});
        return 0;
    }
    return fields.positive_real(name, otherwise);
}

} // namespace

void read_gpt2(Fields& fields, model::Config& c) {
    c.hidden = fields.positive("n_embd");
    c.layers = layer_count(fields, "n_layer");
    c.heads = c.kv_heads = fields.positive("n_head");
    c.vocabulary = fields.positive("vocab_size");
    c.max_positions = fields.positive("n_positions", 1024);
    fields.require("n_ctx", c.max_positions);
    if (c.hidden % c.heads) fields.refuse("n_head", "a divisor of n_embd");
    c.head_size = c.hidden / c.heads;
    c.feed_forward = fields.positive("n_inner", 4 * c.hidden);
    c.initializer_range = fields.get("initializer_range", 0.02);
    c.activation = activation(fields, "activation_function", "gelu_new");
    c.norm = model::Norm::layer;
    c.norm_epsilon = fields.positive_real("layer_norm_epsilon", 1e-5);
    c.norm_first = c.causal = true;
    c.gated = false;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.input_major = true; // "Conv1D"
    c.positions = model::Positions::learned;
    c.attention_scale = gpt2_attention_scale(fields, c);
    c.tied_embeddings = fields.get("tie_word_embeddings", true);
    c.embedding_dropout = fields.probability("embd_pdrop", 0.1);
    c.hidden_dropout = fields.probability("resid_pdrop", 0.1);
    c.attention_dropout = fields.probability("attn_pdrop", 0.1);
    read_pad_token(fields, c, kNone);
    c.untrained_token = kNone; // its embedding layer knows no padding
    for (auto const& [alias, value] : {std::pair{"hidden_size", c.hidden},
                                       {"num_hidden_layers", c.layers},
                                       {"num_attention_heads", c.heads},
                                       {"max_position_embeddings", c.max_positions}})
        fields.require(alias, value);
}

void read_gpt_neox(Fields& fields, model::Config& c) {
    read_shape(fields, c, {"gelu", 2048});
    if (c.hidden % c.heads) fields.refuse("num_attention_heads", "a divisor of hidden_size");
    c.kv_heads = c.heads;
    c.head_size = c.hidden / c.heads;
    c.norm = model::Norm::layer;
    c.norm_epsilon = fields.positive_real("layer_norm_eps", 1e-5);
    c.norm_first = c.causal = true;
    c.gated = false;
    c.parallel_residual = fields.get("use_parallel_residual", true);
    c.fused_by_head = true;
    c.attention_bias = c.output_bias = fields.get("attention_bias", true);
    c.feed_forward_bias = true;
    c.tied_embeddings = fields.get("tie_word_embeddings", false);
    c.embedding_dropout = c.hidden_dropout = fields.probability("hidden_dropout", 0.0);
    c.attention_dropout = fields.probability("attention_dropout", 0.0);
    fields.probability("classifier_dropout", 0.1); // read by the head for tokens
    read_pad_token(fields, c, kNone);
    c.untrained_token = kNone; // its embedding layer knows no padding
    read_rotary(fields, c,
                {.base_field = "rotary_emb_base", .share_field = "rotary_pct", .share = 0.25});
}

void read_phi3(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.positions = 4096, .epsilon = 1e-5, .pad_token = 32000});
    read_rotary(fields, c, {.share_field = "partial_rotary_factor", .by_frequency = true});
    require_none(fields, {"attention_bias", "mlp_bias"});
    fields.require("full_attn_mod", 1); // as Phi-4-mini has them; transformers reads neither
    fields.require("interpolate_factor", 1);
    c.windows.assign(static_cast<std::size_t>(c.layers), window_of(fields, 0));
}

void read_olmo2(Fields& fields, model::Config& c) {
    read_olmo(fields, c);
    read_rotary(fields, c);
}

void read_olmo3(Fields& fields, model::Config& c) {
    read_olmo(fields, c);
    c.windows = sliding_but_each(fields, c, 4);
    read_layered_rotary(fields, c, {500000.0, 500000.0});
}

void read_gemma2(Fields& fields, model::Config& c) {
    read_gemma(fields, c, 8192);
    read_rotary(fields, c);
    c.windows = sliding_but_each(fields, c, 2);
    if (c.windows[0]) // the name in the first files, which stayed beside the other
        fields.require("sliding_window_size", c.windows[0]);
    else
        fields.ignore({"sliding_window_size"});
    c.attention_cap = cap_of(fields, "attn_logit_softcapping", 50.0);
    c.logits_cap = cap_of(fields, "final_logit_softcapping", 30.0);
}

/// transformers keeps a cap of scores and does not apply it.
void read_gemma3(Fields& fields, model::Config& c) {
    read_gemma(fields, c, 131072);
    c.windows = sliding_but_each(fields, c, fields.positive("sliding_window_pattern", 6));
    read_layered_rotary(fields, c, {1000000.0, 10000.0, "rope_local_base_freq"});
    c.query_key_norm = model::QueryKeyNorm::heads;
    c.logits_cap = cap_of(fields, "final_logit_softcapping", 0);
}

} // namespace trireme::framework::pretrained
