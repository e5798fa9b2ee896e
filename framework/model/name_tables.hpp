// Tables of the names that families of models have for their tensors, for layer_names.cpp.
#pragma once

namespace trireme::framework::model {

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
    char const* pooler_norm = "";
    bool classifier_bias = false;
    char const *transform = "", *transform_norm = "", *vocabulary_bias = "";
    bool all_transform = false; ///< heads of tokens have it too, not masked language models alone
    char const* token_classifier = ""; ///< has a bias
    /// prefix of the body below a head that finds answers
    char const* body_of_answers = "";
    /// their parts are called by one letter more: fused.q, fused.k and fused.v
    char const *fused = "", *fused_up = "";
    char const* answers = "qa_outputs"; ///< has a bias
    char const* activation = "";        ///< prefix of its numbers
};

inline constexpr NameTable kBert{.body = "bert.",
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
    t.body = t.body_of_answers = "roberta.";
    t.pooler = "";
    t.head_pooler = "classifier.dense";
    t.classifier = "classifier.out_proj";
    t.transform = "lm_head.dense";
    t.transform_norm = "lm_head.layer_norm";
    t.vocabulary_bias = "lm_head.bias";
    return t;
}
inline constexpr NameTable kRoberta = roberta_table();

inline constexpr NameTable kDistilbert{.body = "distilbert.",
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
                                       .classifier_bias = true,
                                       .transform = "vocab_transform",
                                       .transform_norm = "vocab_layer_norm",
                                       .vocabulary_bias = "vocab_projector.bias",
                                       .token_classifier = "classifier",
                                       .body_of_answers = "distilbert."};

inline constexpr NameTable kGpt2{.body = "transformer.",
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
inline constexpr NameTable kLlama{.body = "model.",
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

constexpr NameTable eurobert_table() {
    NameTable t = kLlama;
    t.head_pooler = "dense";
    t.classifier = t.token_classifier = "classifier";
    t.vocabulary_bias = "lm_head.bias";
    t.classifier_bias = true;
    return t;
}
inline constexpr NameTable kEurobert = eurobert_table();

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
inline constexpr NameTable kPhi3 = phi3_table();

/// OLMo 2 and 3 normalize what a block adds; one of the two names is Llama's of another norm.
constexpr NameTable olmo_table() {
    NameTable t = kLlama;
    t.attention_norm = t.feed_forward_norm = "";
    t.attention_output_norm = "post_attention_layernorm";
    t.feed_forward_output_norm = "post_feedforward_layernorm";
    return t;
}
inline constexpr NameTable kOlmo = olmo_table();

/// Gemma 2 and 3: a norm before and one after each part of a block.
constexpr NameTable gemma_table() {
    NameTable t = olmo_table();
    t.attention_norm = "input_layernorm";
    t.feed_forward_norm = "pre_feedforward_layernorm";
    return t;
}
inline constexpr NameTable kGemma = gemma_table();

inline constexpr NameTable kGptNeox{.body = "gpt_neox.",
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

inline constexpr NameTable kModernbert{.body = "model.",
                                       .tokens = "embeddings.tok_embeddings",
                                       .embedding_norm = "embeddings.norm",
                                       .layer = "layers.#.",
                                       .query = "attn.Wqkv.q",
                                       .key = "attn.Wqkv.k",
                                       .value = "attn.Wqkv.v",
                                       .output = "attn.Wo",
                                       .gate = "mlp.Wi.g",
                                       .up = "mlp.Wi.u",
                                       .down = "mlp.Wo",
                                       .attention_norm = "attn_norm",
                                       .feed_forward_norm = "mlp_norm",
                                       .norm = "final_norm",
                                       .language_model = "decoder",
                                       .classifier = "classifier",
                                       .head_pooler = "head.dense",
                                       .pooler_norm = "head.norm",
                                       .classifier_bias = true,
                                       .transform = "head.dense",
                                       .transform_norm = "head.norm",
                                       .vocabulary_bias = "decoder.bias",
                                       .all_transform = true,
                                       .token_classifier = "classifier",
                                       .body_of_answers = "model.",
                                       .fused = "attn.Wqkv",
                                       .fused_up = "mlp.Wi",
                                       .answers = "classifier"};

constexpr NameTable apertus_table() {
    NameTable t = kLlama;
    t.attention_norm = "attention_layernorm";
    t.feed_forward_norm = "feedforward_layernorm";
    t.gate = "";
    t.activation = "mlp.act_fn.";
    return t;
}
inline constexpr NameTable kApertus = apertus_table();

} // namespace trireme::framework::model
