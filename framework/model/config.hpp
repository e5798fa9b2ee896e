// Describes a model in our terms, one description for every family. Plain data; no torch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/task.hpp"

namespace trireme::framework::model {

enum class Family : std::uint8_t {
    bert,
    gpt2,
    llama,
    mistral,
    qwen2,
    qwen3,
    roberta,
    xlm_roberta,
    camembert,
    distilbert,
    ministral,
    phi3,
    granite,
    olmo2,
    olmo3,
    smollm3,
    gemma2,
    gemma3,
    eurobert,
    gpt_neox,
    modernbert,
    apertus
};
enum class Norm : std::uint8_t { rms, layer };
/// xielu has two trained numbers a layer (Huang and Schlag, "Deriving activation functions using
/// integration", 2024).
enum class Activation : std::uint8_t { silu, gelu, gelu_tanh, relu, tanh, xielu };
enum class Positions : std::uint8_t { rotary, learned };
enum class RotaryScaling : std::uint8_t { none, linear, llama3, yarn, by_frequency };
/// Says over which numbers queries and keys are normalized: those of each head (Qwen 3), or all of
/// a token's (OLMo 2).
enum class QueryKeyNorm : std::uint8_t { none, heads, whole };
/// Says by which angles a layer turns its queries and keys: not at all (SmolLM3's every fourth), by
/// the model's base and stretch, or by the local base alone (Gemma 3's windowed layers).
enum class LayerRotary : std::uint8_t { none, main, local };
/// Says what a classifier reads of a sample: one token, the first of an encoder or the last of a
/// decoder; the mean of its tokens; or each token, whose outputs are averaged.
enum class Pooling : std::uint8_t { one_token, mean, mean_of_outputs };
enum class HeadKind : std::uint8_t {
    language_model,
    classification,
    regression,
    multi_label,
    token_classification,
    question_answering,
    masked_language_model
};

/// Answers that code asks of a head, instead of which it is.
struct HeadTraits {
    char const* name;    ///< for people
    data::Per rows;      ///< a row of outputs for each token, or for each sample
    data::Values learns; ///< what its outputs are compared with
    /// problem_type of config.json, as transformers has it; "": it has none
    char const* problem_type;
    /// Its outputs are the words of the vocabulary, its matrix may be that of the embeddings.
    bool of_vocabulary() const { return learns == data::Values::vocabulary; }
};
constexpr HeadTraits traits_of(HeadKind kind) {
    using enum data::Per;
    switch (kind) {
    case HeadKind::language_model: return {"language-model", token, data::Values::vocabulary, ""};
    case HeadKind::classification:
        return {"classifier", sample, data::Values::labels, "single_label_classification"};
    case HeadKind::regression: return {"regressor", sample, data::Values::reals, "regression"};
    case HeadKind::multi_label:
        return {"multi-label classifier", sample, data::Values::reals,
                "multi_label_classification"};
    case HeadKind::token_classification:
        return {"token classifier", token, data::Values::labels, ""};
    case HeadKind::question_answering: return {"answer finder", token, data::Values::places, ""};
    case HeadKind::masked_language_model:
        return {"masked language model", token, data::Values::vocabulary, ""};
    }
    return {}; // every kind returns above
}

/// How rotary positions were stretched to a longer context after the first training.
struct RotaryStretch {
    RotaryScaling scaling = RotaryScaling::none;
    /// divides the rotary frequencies: linear all of them, llama3 and yarn the low ones
    double factor = 1.0;
    /// llama3, yarn: rotations per original context between which it blends
    double low_frequency = 1.0, high_frequency = 4.0;
    /// positions of the first training, if a stretch depends on them
    std::int64_t original_context = 0;
    double amplitude = 1.0;  ///< multiplies cosines and sines
    bool whole_pairs = true; ///< yarn: blends from and to whole numbers of a pair
    /// by_frequency: divide the frequency of each pair, in samples longer than original_context the
    /// second
    std::vector<double> factors = {}, long_factors = {};
};

struct Config {
    /// decides how tensors are named; the fields below decide what is computed
    Family family = Family::llama;
    std::int64_t hidden = 0; ///< D
    std::int64_t layers = 0;
    std::int64_t heads = 0;    ///< query heads H
    std::int64_t kv_heads = 0; ///< key and value heads, divides heads
    std::int64_t head_size = 0;
    std::int64_t feed_forward = 0;  ///< inner width
    std::int64_t vocabulary = 0;    ///< V
    std::int64_t max_positions = 0; ///< longest sample
    std::int64_t token_types = 0;   ///< BERT segments; 0 if the family has none

    Norm norm = Norm::rms;
    double norm_epsilon = 1e-5;
    bool norm_bias = true;          ///< layer norms have a bias
    bool first_norm = true;         ///< the first block's attention has a norm (not ModernBERT's)
    bool norm_plus_one = false;     ///< rms norms multiply by 1 + weight (Gemma)
    bool norm_first = true;         ///< pre-norm (Llama) or post-norm (BERT)
    bool parallel_residual = false; ///< the feed-forward reads the block's input (GPT-NeoX)
    QueryKeyNorm query_key_norm = QueryKeyNorm::none; ///< an rms norm
    Activation activation = Activation::silu;
    bool gated = true;           ///< down(act(gate(x)) * up(x)) or down(act(up(x)))
    bool attention_bias = false; ///< the query, key and value layers have a bias
    bool output_bias = false;    ///< the attention's output layer has a bias
    bool feed_forward_bias = false;
    bool fused_by_head = false; ///< a folder's fused query, key, value lie head by head (GPT-NeoX)
    bool input_major = false;   ///< weights of the blocks' linear layers are [in, out] (GPT-2)
    Positions positions = Positions::rotary;
    double rotary_base = 10000.0;
    RotaryStretch rotary;
    std::int64_t rotary_size = 0;          ///< numbers of a head that are turned, the first; 0: all
    std::vector<LayerRotary> layer_rotary; ///< per layer. Empty: main in all
    double local_rotary_base = 10000.0;
    /// row of learned positions that a sample begins at. If not 0, the token before that number
    /// pads: its place is the row of its own number, and it does not count as a place
    std::int64_t position_offset = 0;
    bool causal = true;
    /// per layer: keys a query sees to each side that it sees, itself one of them; 0: all. Empty:
    /// all zeros
    std::vector<std::int64_t> windows;
    std::vector<double> attention_scale; ///< per layer: of scores. Empty: 1 / sqrt(head_size)
    /// scores, or logits, x become cap * tanh(x / cap) (Gemma 2); 0: they stay
    double attention_cap = 0.0, logits_cap = 0.0;
    /// factors of token embeddings, of what a block adds to its input, and of logits
    double embedding_scale = 1.0, residual_scale = 1.0, logits_scale = 1.0;
    bool round_embedding_scale = false; ///< to the dtype of the embeddings (Gemma)
    bool tied_embeddings = false;
    /// a decoder's classifier reads the last token that is not this one
    std::int64_t pad_token = -1;
    /// the token embedding that gets no gradient as an input (padding_idx)
    std::int64_t untrained_token = -1;

    double embedding_dropout = 0.0, hidden_dropout = 0.0, attention_dropout = 0.0,
           classifier_dropout = 0.0;
    double initializer_range = 0.02;

    // of a classifier: what it reads, and the layer between that and its last
    Pooling pooling = Pooling::one_token;
    Activation pooled_activation = Activation::tanh;
    Activation transform_activation = Activation::gelu; ///< of that layer where tokens have it
    bool transform_bias = true;                         ///< of that layer
    bool vocabulary_bias = true;        ///< a masked language model adds a number to each score
    bool dropout_before_pooler = false; ///< beside the one after it (RoBERTa)

    HeadKind head = HeadKind::language_model;
    std::vector<std::string> labels; ///< names of the outputs in id order, if the head has such

    /// Factors of the losses of a classifier's samples in training, by class. Empty: none.
    std::vector<double> class_weights;
    /// Patterns of the names of parameters that are not trained (optimizer.freeze). Empty: none.
    std::vector<std::string> frozen;

    /// The length beyond which a sample has other rotary angles; 0: there is none.
    std::int64_t short_context() const {
        return rotary.long_factors.empty() ? 0 : rotary.original_context;
    }
    /// Outputs of the head in a row.
    std::int64_t outputs() const {
        switch (traits_of(head).learns) {
        case data::Values::vocabulary: return vocabulary;
        case data::Values::places: return 2; // the first and the last token of an answer
        case data::Values::labels:
        case data::Values::numbers:
        case data::Values::reals: break;
        }
        return static_cast<std::int64_t>(labels.size());
    }

    /// The whole config.json this came from, as text, so that export gives back what was read.
    /// Empty if made here.
    std::string source_json;
};

} // namespace trireme::framework::model
