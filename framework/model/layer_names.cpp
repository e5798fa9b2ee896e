#include "framework/model/layer_names.hpp"

namespace trireme::framework {

namespace {

LinearNames named(std::string const& stem, bool bias) {
    return {stem + ".weight", bias ? stem + ".bias" : ""};
}

LayerNames llama_layer(ModelConfig const& c, std::string const& p) {
    return {named(p + "self_attn.q_proj", c.attention_bias), named(p + "self_attn.k_proj", c.attention_bias),
            named(p + "self_attn.v_proj", c.attention_bias), named(p + "self_attn.o_proj", c.attention_bias),
            named(p + "mlp.gate_proj", c.feed_forward_bias), named(p + "mlp.up_proj", c.feed_forward_bias),
            named(p + "mlp.down_proj", c.feed_forward_bias), named(p + "input_layernorm", false),
            named(p + "post_attention_layernorm", false)};
}

LayerNames bert_layer(std::string const& p) {
    return {named(p + "attention.self.query", true),
            named(p + "attention.self.key", true),
            named(p + "attention.self.value", true),
            named(p + "attention.output.dense", true),
            {},
            named(p + "intermediate.dense", true),
            named(p + "output.dense", true),
            named(p + "attention.output.LayerNorm", true),
            named(p + "output.LayerNorm", true)};
}

} // namespace

StemNames stem_names(ModelConfig const& config) {
    if (config.family == Family::llama) return {"model.embed_tokens.weight", "", "", {}};
    std::string const p = "bert.embeddings.";
    return {p + "word_embeddings.weight", p + "position_embeddings.weight", p + "token_type_embeddings.weight",
            named(p + "LayerNorm", true)};
}

LayerNames layer_names(ModelConfig const& config, std::int64_t layer) {
    if (config.family == Family::llama) return llama_layer(config, "model.layers." + std::to_string(layer) + ".");
    return bert_layer("bert.encoder.layer." + std::to_string(layer) + ".");
}

HeadNames head_names(ModelConfig const& config) {
    HeadNames names;
    if (config.family == Family::llama) names.norm = named("model.norm", false);
    if (config.family == Family::bert) names.pooler = named("bert.pooler.dense", true);
    if (config.head == HeadKind::language_model)
        names.language_model = config.tied_embeddings ? stem_names(config).tokens : "lm_head.weight";
    else
        names.classifier = config.family == Family::llama ? named("score", false) : named("classifier", true);
    return names;
}

} // namespace trireme::framework
