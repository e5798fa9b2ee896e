#include "framework/pretrained/families.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

// ---- BERT

void read_bert(Fields& fields, model::Config& c) {
    read_shape(fields, c, {"gelu", 512});
    fields.require("embedding_size", c.hidden);
    if (c.hidden % c.heads) fields.refuse("num_attention_heads", "a divisor of hidden_size");
    c.kv_heads = c.heads;
    c.head_size = c.hidden / c.heads;
    c.token_types = fields.positive("type_vocab_size", 2);
    read_pad_token(fields, c, 0);
    c.norm = model::Norm::layer;
    c.norm_epsilon = fields.positive_real("layer_norm_eps", 1e-12);
    c.gated = c.norm_first = c.causal = false;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.positions = model::Positions::learned;
    fields.require("position_embedding_type", "absolute");
    fields.require("is_decoder", false);
    fields.require("tie_word_embeddings", true);
    c.tied_embeddings = true;
    c.embedding_dropout = c.hidden_dropout = fields.probability("hidden_dropout_prob", 0.1);
    c.attention_dropout = fields.probability("attention_probs_dropout_prob", 0.1);
    c.classifier_dropout = fields.probability("classifier_dropout", c.hidden_dropout);
}

// ---- GPT-2

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

constexpr std::array<FamilyEntry, 6> kFamilies{{
    {"bert", model::Family::bert, read_bert, "", "Bert"},
    {"gpt2", model::Family::gpt2, read_gpt2, "GPT2LMHeadModel", "GPT2"},
    {"llama", model::Family::llama, read_llama, "LlamaForCausalLM", "Llama"},
    {"mistral", model::Family::mistral, read_mistral, "MistralForCausalLM", "Mistral"},
    {"qwen2", model::Family::qwen2, read_qwen2, "Qwen2ForCausalLM", "Qwen2"},
    {"qwen3", model::Family::qwen3, read_qwen3, "Qwen3ForCausalLM", "Qwen3"},
}};

} // namespace

std::span<FamilyEntry const> families() {
    return kFamilies;
}

FamilyEntry const& entry_of(model::Family family) {
    return *std::ranges::find(kFamilies, family, &FamilyEntry::family);
}

std::string architecture_of(model::Config const& config) {
    FamilyEntry const& entry = entry_of(config.family);
    std::string const stem = entry.stem;
    switch (config.head) {
    case model::HeadKind::language_model: return entry.language_model;
    case model::HeadKind::masked_language_model: return config.causal ? "" : stem + "ForMaskedLM";
    case model::HeadKind::classification:
    case model::HeadKind::regression:
    case model::HeadKind::multi_label: return stem + "ForSequenceClassification";
    case model::HeadKind::token_classification: return stem + "ForTokenClassification";
    case model::HeadKind::question_answering: return stem + "ForQuestionAnswering";
    }
    return ""; // every kind returns above
}

} // namespace trireme::framework::pretrained
