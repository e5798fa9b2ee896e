#include "framework/model/layer_names.hpp"

namespace trireme::framework::model {

namespace {

/// One family's names: "" is a part it lacks, # stands for the index of the layer.
struct NameTable {
    /// prefix of everything but the language model's and the classifier's layer
    char const* body = "";
    char const *tokens = "", *positions = "", *segments = "", *embedding_norm = "";
    char const* layer = ""; ///< prefix of what is in a layer
    char const *query = "", *key = "", *value = "", *output = "", *query_norm = "", *key_norm = "";
    char const *gate = "", *up = "", *down = "", *attention_norm = "", *feed_forward_norm = "";
    char const *norm = "", *pooler = "", *language_model = "", *classifier = "";
    bool classifier_bias = false;
    char const *transform = "", *transform_norm = "", *vocabulary_bias = "";
    char const* token_classifier = ""; ///< has a bias
    /// prefix of the body below a head that finds answers
    char const* body_of_answers = "";
    char const* fused = ""; ///< its parts are called fused.q, fused.k and fused.v
};

constexpr NameTable kBert{.body = "bert.",
                          .tokens = "embeddings.word_embeddings",
                          .positions = "embeddings.position_embeddings",
                          .segments = "embeddings.token_type_embeddings",
                          .embedding_norm = "embeddings.LayerNorm",
                          .layer = "encoder.layer.#.",
                          .query = "attention.self.query",
                          .key = "attention.self.key",
                          .value = "attention.self.value",
                          .output = "attention.output.dense",
                          .up = "intermediate.dense",
                          .down = "output.dense",
                          .attention_norm = "attention.output.LayerNorm",
                          .feed_forward_norm = "output.LayerNorm",
                          .pooler = "pooler.dense",
                          .classifier = "classifier",
                          .classifier_bias = true,
                          .transform = "cls.predictions.transform.dense",
                          .transform_norm = "cls.predictions.transform.LayerNorm",
                          .vocabulary_bias = "cls.predictions.bias",
                          .token_classifier = "classifier",
                          .body_of_answers = "bert."};

constexpr NameTable kGpt2{.body = "transformer.",
                          .tokens = "wte",
                          .positions = "wpe",
                          .layer = "h.#.",
                          .query = "attn.c_attn.q",
                          .key = "attn.c_attn.k",
                          .value = "attn.c_attn.v",
                          .output = "attn.c_proj",
                          .up = "mlp.c_fc",
                          .down = "mlp.c_proj",
                          .attention_norm = "ln_1",
                          .feed_forward_norm = "ln_2",
                          .norm = "ln_f",
                          .language_model = "lm_head",
                          .classifier = "score",
                          .token_classifier = "classifier",
                          .body_of_answers = "transformer.",
                          .fused = "attn.c_attn"};

/// Llama, Qwen 2, Qwen 3, and Mistral but for body_of_answers.
constexpr NameTable kLlama{.body = "model.",
                           .tokens = "embed_tokens",
                           .layer = "layers.#.",
                           .query = "self_attn.q_proj",
                           .key = "self_attn.k_proj",
                           .value = "self_attn.v_proj",
                           .output = "self_attn.o_proj",
                           .query_norm = "self_attn.q_norm",
                           .key_norm = "self_attn.k_norm",
                           .gate = "mlp.gate_proj",
                           .up = "mlp.up_proj",
                           .down = "mlp.down_proj",
                           .attention_norm = "input_layernorm",
                           .feed_forward_norm = "post_attention_layernorm",
                           .norm = "norm",
                           .language_model = "lm_head",
                           .classifier = "score",
                           .token_classifier = "score",
                           .body_of_answers = "transformer."};

constexpr char const* kAnswers = "qa_outputs"; ///< in every family, with a bias

NameTable const& table_of(Config const& config) {
    switch (config.family) {
    case Family::bert: return kBert;
    case Family::gpt2: return kGpt2;
    case Family::llama:
    case Family::mistral:
    case Family::qwen2:
    case Family::qwen3: break;
    }
    return kLlama;
}

std::string body_of(Config const& config) {
    if (config.head != HeadKind::question_answering || config.family == Family::mistral)
        return table_of(config).body;
    return table_of(config).body_of_answers;
}

std::string weight(std::string const& prefix, std::string const& part) {
    return part.empty() ? "" : prefix + part + ".weight";
}
LinearNames linear(std::string const& prefix, std::string const& part, bool bias) {
    return {weight(prefix, part), bias && !part.empty() ? prefix + part + ".bias" : ""};
}

} // namespace

std::vector<std::string> body_prefixes(Config const& config) {
    NameTable const& t = table_of(config);
    return {body_of(config), t.body, t.body_of_answers, ""};
}

EmbeddingNames embedding_names(Config const& config) {
    NameTable const& t = table_of(config);
    std::string const body = body_of(config);
    return {weight(body, t.tokens), weight(body, t.positions), weight(body, t.segments),
            linear(body, t.embedding_norm, config.norm == Norm::layer)};
}

LayerNames layer_names(Config const& config, std::int64_t layer) {
    NameTable const& t = table_of(config);
    std::string prefix = body_of(config) + t.layer;
    prefix.replace(prefix.find('#'), 1, std::to_string(layer));
    bool const norm_bias = config.norm == Norm::layer;
    return {.query = linear(prefix, t.query, config.attention_bias),
            .key = linear(prefix, t.key, config.attention_bias),
            .value = linear(prefix, t.value, config.attention_bias),
            .output = linear(prefix, t.output, config.output_bias),
            .gate = linear(prefix, t.gate, config.feed_forward_bias),
            .up = linear(prefix, t.up, config.feed_forward_bias),
            .down = linear(prefix, t.down, config.feed_forward_bias),
            .attention_norm = linear(prefix, t.attention_norm, norm_bias),
            .feed_forward_norm = linear(prefix, t.feed_forward_norm, norm_bias),
            .query_norm = linear(prefix, config.qk_norm ? t.query_norm : "", false),
            .key_norm = linear(prefix, config.qk_norm ? t.key_norm : "", false)};
}

HeadNames head_names(Config const& config) {
    NameTable const& t = table_of(config);
    bool const norm_bias = config.norm == Norm::layer;
    HeadNames names{.norm = linear(body_of(config), t.norm, norm_bias)};
    HeadTraits const head = traits_of(config.head);
    if (config.head == HeadKind::masked_language_model) {
        names.transform = linear("", t.transform, true);
        names.transform_norm = linear("", t.transform_norm, norm_bias);
        names.vocabulary_bias = t.vocabulary_bias;
    }
    if (head.of_vocabulary())
        names.language_model =
            config.tied_embeddings ? embedding_names(config).tokens : weight("", t.language_model);
    else if (head.learns == data::Values::places)
        names.classifier = linear("", kAnswers, true);
    else if (head.rows == data::Per::token)
        names.classifier = linear("", t.token_classifier, true);
    else
        names.classifier = linear("", t.classifier, t.classifier_bias);
    if (head.rows == data::Per::sample) names.pooler = linear(t.body, t.pooler, true);
    return names;
}

std::string stored_name(Config const& config, std::string const& parameter) {
    std::string const fused = table_of(config).fused;
    auto const at = fused.empty() ? std::string::npos : parameter.find(fused + ".");
    if (at == std::string::npos) return parameter;
    std::string whole = parameter;
    return whole.erase(at + fused.size(), 2); // the ".q" of "fused.q.weight"
}

} // namespace trireme::framework::model
