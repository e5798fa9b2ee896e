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
    char const *attention_output_norm = "", *feed_forward_output_norm = "";
    char const *norm = "", *pooler = "", *language_model = "", *classifier = "";
    char const* head_pooler = ""; ///< a pooler that is the head's and not the body's
    bool classifier_bias = false;
    char const *transform = "", *transform_norm = "", *vocabulary_bias = "";
    char const* token_classifier = ""; ///< has a bias
    /// prefix of the body below a head that finds answers
    char const* body_of_answers = "";
    /// their parts are called by one letter more: fused.q, fused.k and fused.v
    char const *fused = "", *fused_up = "";
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

/// RoBERTa and what is trained as it was: a BERT whose classifier has its own pooler.
constexpr NameTable roberta_table() {
    NameTable t = kBert;
    t.body = "roberta.";
    t.pooler = "";
    t.head_pooler = "classifier.dense";
    t.classifier = "classifier.out_proj";
    return t;
}
constexpr NameTable kRoberta = roberta_table();

constexpr NameTable kDistilbert{.body = "distilbert.",
                                .tokens = "embeddings.word_embeddings",
                                .positions = "embeddings.position_embeddings",
                                .embedding_norm = "embeddings.LayerNorm",
                                .layer = "transformer.layer.#.",
                                .query = "attention.q_lin",
                                .key = "attention.k_lin",
                                .value = "attention.v_lin",
                                .output = "attention.out_lin",
                                .up = "ffn.lin1",
                                .down = "ffn.lin2",
                                .attention_norm = "sa_layer_norm",
                                .feed_forward_norm = "output_layer_norm",
                                .classifier = "classifier",
                                .head_pooler = "pre_classifier",
                                .classifier_bias = true};

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

/// Llama and all that took its names over; Mistral but for body_of_answers.
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

constexpr NameTable eurobert_table() {
    NameTable t = kLlama;
    t.language_model = "";
    t.head_pooler = "dense";
    t.classifier = "classifier";
    t.classifier_bias = true;
    return t;
}
constexpr NameTable kEurobert = eurobert_table();

constexpr NameTable phi3_table() {
    NameTable t = kLlama;
    t.query = "self_attn.qkv_proj.q";
    t.key = "self_attn.qkv_proj.k";
    t.value = "self_attn.qkv_proj.v";
    t.fused = "self_attn.qkv_proj";
    t.gate = "mlp.gate_up_proj.g";
    t.up = "mlp.gate_up_proj.u";
    t.fused_up = "mlp.gate_up_proj";
    return t;
}
constexpr NameTable kPhi3 = phi3_table();

/// OLMo 2 and 3 normalize what a block adds; one of the two names is Llama's of another norm.
constexpr NameTable olmo_table() {
    NameTable t = kLlama;
    t.attention_norm = t.feed_forward_norm = "";
    t.attention_output_norm = "post_attention_layernorm";
    t.feed_forward_output_norm = "post_feedforward_layernorm";
    return t;
}
constexpr NameTable kOlmo = olmo_table();

/// Gemma 2 and 3: a norm before and one after each part of a block.
constexpr NameTable gemma_table() {
    NameTable t = olmo_table();
    t.attention_norm = "input_layernorm";
    t.feed_forward_norm = "pre_feedforward_layernorm";
    return t;
}
constexpr NameTable kGemma = gemma_table();

constexpr NameTable kGptNeox{.body = "gpt_neox.",
                             .tokens = "embed_in",
                             .layer = "layers.#.",
                             .query = "attention.query_key_value.q",
                             .key = "attention.query_key_value.k",
                             .value = "attention.query_key_value.v",
                             .output = "attention.dense",
                             .up = "mlp.dense_h_to_4h",
                             .down = "mlp.dense_4h_to_h",
                             .attention_norm = "input_layernorm",
                             .feed_forward_norm = "post_attention_layernorm",
                             .norm = "final_layer_norm",
                             .language_model = "embed_out",
                             .classifier = "score",
                             .token_classifier = "classifier",
                             .body_of_answers = "gpt_neox.",
                             .fused = "attention.query_key_value"};

NameTable const& table_of(Config const& config) {
    switch (config.family) {
    case Family::bert: return kBert;
    case Family::roberta:
    case Family::xlm_roberta:
    case Family::camembert: return kRoberta;
    case Family::distilbert: return kDistilbert;
    case Family::eurobert: return kEurobert;
    case Family::gpt2: return kGpt2;
    case Family::gpt_neox: return kGptNeox;
    case Family::phi3: return kPhi3;
    case Family::olmo2:
    case Family::olmo3: return kOlmo;
    case Family::gemma2:
    case Family::gemma3: return kGemma;
    case Family::llama:
    case Family::mistral:
    case Family::ministral:
    case Family::qwen2:
    case Family::qwen3:
    case Family::granite:
    case Family::smollm3: break;
    }
    return kLlama;
}

std::string body_of(Config const& config) {
    NameTable const& t = table_of(config);
    bool const own = config.head == HeadKind::question_answering && *t.body_of_answers &&
                     config.family != Family::mistral;
    return own ? t.body_of_answers : t.body;
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
    bool const norm_bias = config.norm == Norm::layer,
               qk_norm = config.query_key_norm != QueryKeyNorm::none;
    return {.query = linear(prefix, t.query, config.attention_bias),
            .key = linear(prefix, t.key, config.attention_bias),
            .value = linear(prefix, t.value, config.attention_bias),
            .output = linear(prefix, t.output, config.output_bias),
            .gate = linear(prefix, t.gate, config.feed_forward_bias),
            .up = linear(prefix, t.up, config.feed_forward_bias),
            .down = linear(prefix, t.down, config.feed_forward_bias),
            .attention_norm = linear(prefix, t.attention_norm, norm_bias),
            .feed_forward_norm = linear(prefix, t.feed_forward_norm, norm_bias),
            .attention_output_norm = linear(prefix, t.attention_output_norm, norm_bias),
            .feed_forward_output_norm = linear(prefix, t.feed_forward_output_norm, norm_bias),
            .query_norm = linear(prefix, qk_norm ? t.query_norm : "", false),
            .key_norm = linear(prefix, qk_norm ? t.key_norm : "", false)};
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
    if (head.rows == data::Per::sample)
        names.pooler =
            *t.head_pooler ? linear("", t.head_pooler, true) : linear(t.body, t.pooler, true);
    return names;
}

std::string stored_name(Config const& config, std::string const& parameter) {
    NameTable const& t = table_of(config);
    for (std::string const fused : {t.fused, t.fused_up}) {
        auto const at = fused.empty() ? std::string::npos : parameter.find(fused + ".");
        if (at == std::string::npos) continue;
        std::string whole = parameter;
        return whole.erase(at + fused.size(), 2); // the ".q" of "fused.q.weight"
    }
    return parameter;
}

} // namespace trireme::framework::model
