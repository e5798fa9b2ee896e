// Readers of config.json for Llama and its like.
#include <algorithm>
#include <initializer_list>

#include "cluster/counted.hpp"
#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

/// Tools that write one configuration for all families say of much that it is not there.
void require_nothing_more(Fields& fields, DecoderDefaults const& family, std::int64_t layers) {
    require_none(fields, {"bias", "use_bias", "lm_head_bias", "alibi", "use_qk_norm"});
    for (auto const* dropout : {"embd_pdrop", "resid_pdrop", "attn_pdrop", "hidden_dropout",
                                "hidden_dropout_prob", "attention_probs_dropout_prob"})
        fields.require(dropout, 0.0);
    fields.require("is_causal", family.causal);
    fields.require("num_layers", layers);
    fields.require("rope_interleaved", false);
    if (family.slices)
        fields.require("pretraining_tp", 1);
    else
        fields.ignore({"pretraining_tp"});
    fields.require("dual_chunk_attention_config", nullptr); // servers compute it
}

/// Finds a Qwen's windows: the layers that layer_types names, else those from max_window_layers on.
std::vector<std::int64_t> qwen_windows(Fields& fields, model::Config const& c) {
    bool const used = fields.get("use_sliding_window", false);
    std::int64_t const asked = window_of(fields, 4096),
                       first = fields.get<std::int64_t>("max_window_layers", 28);
    return layer_windows(fields, c, used ? asked : 0,
                         [first](std::int64_t layer) { return layer >= first; });
}

/// Layers that turn nothing: those with a 0 in no_rope_layers, else every so many.
std::vector<model::LayerRotary> turning_layers(Fields& fields, model::Config const& c) {
    auto const interval = fields.positive("no_rope_layer_interval", 4);
    auto given = fields.get("no_rope_layers", std::vector<std::int64_t>());
    if (given.empty())
        for (std::int64_t layer = 1; layer <= c.layers; ++layer)
            given.push_back(layer % interval != 0);
    if (std::ssize(given) < c.layers)
        fields.refuse("no_rope_layers", "one for each of " + cluster::counted(c.layers, "layer"));
    std::vector<model::LayerRotary> layers;
    for (std::int64_t layer = 0; layer < c.layers; ++layer)
        layers.push_back(given[static_cast<std::size_t>(layer)] ? model::LayerRotary::main
                                                                : model::LayerRotary::none);
    return layers;
}

void read_biases(Fields& fields, model::Config& c) {
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    c.feed_forward_bias = fields.get("mlp_bias", false);
}

} // namespace

void require_none(Fields& fields, std::initializer_list<char const*> names) {
    for (auto const* name : names) fields.require(name, false);
}

std::int64_t window_of(Fields& fields, std::int64_t otherwise) {
    return fields.positive("sliding_window", fields.contains("sliding_window") ? 0 : otherwise);
}

std::vector<std::int64_t> layer_windows(Fields& fields, model::Config const& c, std::int64_t window,
                                        std::function<bool(std::int64_t)> const& otherwise) {
    std::vector<std::int64_t> windows;
    for (std::int64_t layer = 0; layer < c.layers; ++layer)
        windows.push_back(otherwise(layer) ? window : 0);
    auto const types = fields.get("layer_types", std::vector<std::string>());
    if (types.empty()) return windows;
    if (static_cast<std::int64_t>(types.size()) != c.layers)
        fields.refuse("layer_types", "one for each of " + cluster::counted(c.layers, "layer"));
    for (std::size_t layer = 0; layer < types.size(); ++layer) {
        bool const sliding = types[layer] == "sliding_attention";
        if (!sliding && types[layer] != "full_attention")
            fields.refuse("layer_types", "full_attention, sliding_attention");
        if (sliding && !window)
            fields.refuse("layer_types", "full_attention alone, as there is no sliding window");
        windows[layer] = sliding ? window : 0;
    }
    return windows;
}

void read_decoder(Fields& fields, model::Config& c, DecoderDefaults const& otherwise) {
    read_shape(fields, c, {otherwise.activation, otherwise.positions, otherwise.activation_field});
    bool const kv_heads_missing = !fields.contains("num_key_value_heads") && otherwise.kv_heads;
    c.kv_heads =
        fields.positive("num_key_value_heads", kv_heads_missing ? otherwise.kv_heads : c.heads);
    if (c.heads % c.kv_heads)
        fields.refuse("num_key_value_heads", "a divisor of num_attention_heads");
    if (!fields.has("head_dim") && !otherwise.head_size && c.hidden % c.heads)
        fields.refuse("num_attention_heads", "a divisor of hidden_size, or head_dim given");
    c.head_size =
        fields.positive("head_dim", otherwise.head_size ? otherwise.head_size : c.hidden / c.heads);
    if (c.head_size % 2) fields.refuse("head_dim", "an even number, for rotary positions");
    c.norm = model::Norm::rms;
    c.norm_epsilon = fields.positive_real("rms_norm_eps", otherwise.epsilon);
    c.gated = c.norm_first = true;
    c.causal = otherwise.causal;
    c.tied_embeddings = fields.get("tie_word_embeddings", otherwise.tied);
    c.attention_dropout = fields.probability("attention_dropout", 0.0);
    require_nothing_more(fields, otherwise, c.layers);
    if (c.causal) fields.probability("classifier_dropout", 0.1); // read by the head for tokens
    read_pad_token(fields, c, otherwise.pad_token);
}

void read_llama(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.positions = 2048});
    read_rotary(fields, c);
    read_biases(fields, c);
}

void read_mistral(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.kv_heads = 8, .positions = 131072});
    read_rotary(fields, c);
    require_none(fields, {"attention_bias", "mlp_bias"});
    c.windows.assign(static_cast<std::size_t>(c.layers), window_of(fields, 4096));
}

void read_ministral(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.kv_heads = 8, .positions = 131072});
    read_rotary(fields, c);
    require_none(fields, {"attention_bias", "mlp_bias"});
    c.windows = layer_windows(fields, c, window_of(fields, 4096), [](auto) { return true; });
}

void read_qwen2(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.kv_heads = 32, .positions = 32768});
    read_rotary(fields, c);
    c.attention_bias = true; // of query, key and value, not of the output
    c.windows = qwen_windows(fields, c);
    fields.require("attention_bias", true);
    require_none(fields, {"mlp_bias", "use_mrope"});
}

void read_qwen3(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.kv_heads = 32, .head_size = 128, .positions = 32768});
    read_rotary(fields, c);
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    require_none(fields, {"mlp_bias"});
    c.query_key_norm = model::QueryKeyNorm::heads;
    c.windows = qwen_windows(fields, c);
}

void read_granite(Fields& fields, model::Config& c) {
    read_decoder(fields, c, {.positions = 2048});
    read_rotary(fields, c);
    read_biases(fields, c);
    c.embedding_scale = fields.positive_real("embedding_multiplier", 1.0);
    c.residual_scale = fields.positive_real("residual_multiplier", 1.0);
    c.logits_scale = 1.0 / fields.positive_real("logits_scaling", 1.0);
    c.attention_scale.assign(static_cast<std::size_t>(c.layers),
                             fields.positive_real("attention_multiplier", 1.0));
}

/// Normalizes each head, and has an activation with trained numbers. Without a word of positions
/// transformers stretches them as Apertus 8B's.
void read_apertus(Fields& fields, model::Config& c) {
    read_decoder(fields, c,
                 {.positions = 65536, .epsilon = 1e-5, .pad_token = 3, .activation = "xielu"});
    if (!fields.has("rope_parameters") && !fields.has("rope_scaling"))
        fields.refuse("rope_parameters", "an object with rope_type");
    read_rotary(fields, c, {.base = 12000000.0});
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    require_none(fields, {"mlp_bias", "post_norm"});
    fields.require("qk_norm", true);
    c.query_key_norm = model::QueryKeyNorm::heads;
    c.gated = false;
}

void read_smollm3(Fields& fields, model::Config& c) {
    read_decoder(
        fields, c,
        {.kv_heads = 4, .positions = 32768, .tied = true, .pad_token = 128004, .slices = false});
    read_rotary(fields, c, {.base = 2000000.0});
    read_biases(fields, c);
    c.layer_rotary = turning_layers(fields, c);
    bool const used = fields.get("use_sliding_window", false);
    std::int64_t const window = window_of(fields, 0);
    c.windows = layer_windows(fields, c, used ? window : 0, [&](std::int64_t layer) {
        return c.layer_rotary[static_cast<std::size_t>(layer)] == model::LayerRotary::none;
    });
}

} // namespace trireme::framework::pretrained
