// Readers of config.json for encoders.
#include "framework/pretrained/family_fields.hpp"

namespace trireme::framework::pretrained {

namespace {

/// Sets what BERT's likes compute alike.
void set_encoder(model::Config& c) {
    c.kv_heads = c.heads;
    c.head_size = c.hidden / c.heads;
    c.norm = model::Norm::layer;
    c.gated = c.norm_first = c.causal = false;
    c.attention_bias = c.output_bias = c.feed_forward_bias = true;
    c.positions = model::Positions::learned;
    c.tied_embeddings = true;
}

void read_bert_like(Fields& fields, model::Config& c, std::int64_t pad_token) {
    read_shape(fields, c, {"gelu", 512});
    fields.require("embedding_size", c.hidden);
    if (c.hidden % c.heads) fields.refuse("num_attention_heads", "a divisor of hidden_size");
    c.token_types = fields.positive("type_vocab_size", 2);
    read_pad_token(fields, c, pad_token);
    set_encoder(c);
    c.norm_epsilon = fields.positive_real("layer_norm_eps", 1e-12);
    c.transform_activation = c.activation;
    fields.require("position_embedding_type", "absolute");
    fields.require("is_decoder", false);
    fields.require("tie_word_embeddings", true);
    c.embedding_dropout = c.hidden_dropout = fields.probability("hidden_dropout_prob", 0.1);
    c.attention_dropout = fields.probability("attention_probs_dropout_prob", 0.1);
    c.classifier_dropout = fields.probability("classifier_dropout", c.hidden_dropout);
}

} // namespace

void read_bert(Fields& fields, model::Config& c) {
    read_bert_like(fields, c, 0);
}

/// Positions are counted from the row after the padding token's, so that the table has that many
/// rows more than a sample has tokens.
void read_roberta(Fields& fields, model::Config& c) {
    read_bert_like(fields, c, 1);
    if (c.pad_token < 0) fields.refuse("pad_token_id", "a token: positions are counted from it");
    c.position_offset = c.pad_token + 1;
    if (c.max_positions <= c.position_offset)
        fields.refuse("max_position_embeddings", "more than pad_token_id + 1");
    c.max_positions -= c.position_offset;
    c.dropout_before_pooler = true;
    c.transform_activation = model::Activation::gelu; // whichever the body's is
}

void read_distilbert(Fields& fields, model::Config& c) {
    c.hidden = fields.positive("dim", 768);
    c.layers = fields.has("n_layers") ? layer_count(fields, "n_layers") : 6;
    c.heads = fields.positive("n_heads", 12);
    c.feed_forward = fields.positive("hidden_dim", 3072);
    c.vocabulary = fields.positive("vocab_size");
    c.max_positions = fields.positive("max_position_embeddings", 512);
    if (c.hidden % c.heads) fields.refuse("n_heads", "a divisor of dim");
    c.initializer_range = fields.get("initializer_range", 0.02);
    c.activation = activation(fields, "activation", "gelu");
    read_pad_token(fields, c, 0);
    set_encoder(c);
    c.norm_epsilon = 1e-12;
    c.transform_activation = c.activation;
    fields.require("tie_word_embeddings", true);
    c.embedding_dropout = c.hidden_dropout = fields.probability("dropout", 0.1);
    c.attention_dropout = fields.probability("attention_dropout", 0.1);
    c.classifier_dropout = fields.probability("seq_classif_dropout", 0.2);
    c.pooled_activation = model::Activation::relu;
    for (auto const& [alias, value] : {std::pair{"hidden_size", c.hidden},
                                       {"num_hidden_layers", c.layers},
                                       {"num_attention_heads", c.heads}})
        fields.require(alias, value);
}

/// A Llama that looks both ways.
void read_eurobert(Fields& fields, model::Config& c) {
    read_decoder(fields, c,
                 {.positions = 8192, .epsilon = 1e-5, .pad_token = 128001, .causal = false});
    read_rotary(fields, c);
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    c.feed_forward_bias = c.vocabulary_bias = fields.get("mlp_bias", false);
    c.pooled_activation = model::Activation::gelu;
    auto const pooling = fields.get("classifier_pooling", std::string("late"));
    if (pooling == "late")
        c.pooling = model::Pooling::mean_of_outputs;
    else if (pooling == "mean")
        c.pooling = model::Pooling::mean;
    else if (pooling != "bos")
        fields.refuse("classifier_pooling", "bos, mean, late");
}

/// Reads the layers with a window: local_attention counts the tokens to both sides.
static std::vector<std::int64_t> local_layers(Fields& fields, model::Config const& c) {
    auto const period = fields.positive("global_attn_every_n_layers", 3);
    auto const window = fields.positive("local_attention", 128) / 2 + 1;
    return layer_windows(fields, c, window, [&](std::int64_t layer) { return layer % period; });
}

/// The layer and the norm that heads read tokens through, and what a classifier reads.
static void read_modernbert_head(Fields& fields, model::Config& c) {
    c.tied_embeddings = fields.get("tie_word_embeddings", true);
    c.vocabulary_bias = fields.get("decoder_bias", true);
    c.transform_bias = fields.get("classifier_bias", false);
    c.pooled_activation = c.transform_activation =
        activation(fields, "classifier_activation", "gelu");
    auto const pooling = fields.get("classifier_pooling", std::string("cls"));
    if (pooling == "mean")
        c.pooling = model::Pooling::mean;
    else if (pooling != "cls")
        fields.refuse("classifier_pooling", "cls, mean");
    c.classifier_dropout = fields.probability("classifier_dropout", 0.0);
}

static void read_modernbert_norms_and_biases(Fields& fields, model::Config& c) {
    c.norm_epsilon = fields.positive_real("norm_eps", 1e-5);
    c.norm_bias = fields.get("norm_bias", false);
    c.norm_first = c.gated = true;
    c.first_norm = false;
    c.attention_bias = c.output_bias = fields.get("attention_bias", false);
    c.feed_forward_bias = fields.get("mlp_bias", false);
}

/// A BERT of Llama's parts, without their biases.
void read_modernbert(Fields& fields, model::Config& c) {
    read_shape(fields, c, {"gelu", 8192, "hidden_activation"});
    if (c.hidden % c.heads) fields.refuse("num_attention_heads", "a divisor of hidden_size");
    read_pad_token(fields, c, 50283);
    set_encoder(c);
    read_modernbert_norms_and_biases(fields, c);
    c.windows = local_layers(fields, c);
    read_layered_rotary(fields, c, {160000.0, 10000.0, "local_rope_theta", "global_rope_theta"});
    read_modernbert_head(fields, c);
    c.embedding_dropout = fields.probability("embedding_dropout", 0.0);
    fields.require("mlp_dropout", 0.0);       // of the feed-forward's inner numbers
    fields.require("attention_dropout", 0.0); // of scores and of what attention adds
    fields.require("is_decoder", false);
}

} // namespace trireme::framework::pretrained
