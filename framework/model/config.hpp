// What a model is, in our terms: one description for every family. Plain data; no torch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::framework {

enum class Family : std::uint8_t { llama, bert };
enum class Norm : std::uint8_t { rms, layer };
enum class Activation : std::uint8_t { silu, gelu, gelu_tanh, relu };
enum class Positions : std::uint8_t { rotary, learned };
enum class HeadKind : std::uint8_t { language_model, classification };

struct ModelConfig {
    Family family = Family::llama;
    std::int64_t hidden = 0; ///< D
    std::int64_t layers = 0;
    std::int64_t heads = 0;     ///< query heads H
    std::int64_t key_heads = 0; ///< key and value heads, divides heads
    std::int64_t head_size = 0;
    std::int64_t feed_forward = 0;  ///< inner width
    std::int64_t vocabulary = 0;    ///< V
    std::int64_t max_positions = 0; ///< longest sample
    std::int64_t token_types = 0;   ///< BERT segments; 0 if the family has none

    Norm norm = Norm::rms;
    double norm_epsilon = 1e-5;
    bool norm_first = true; ///< pre-norm (Llama) or post-norm (BERT)
    Activation activation = Activation::silu;
    bool gated = true; ///< down(act(gate(x)) * up(x)) or down(act(up(x)))
    bool attention_bias = false, feed_forward_bias = false;
    Positions positions = Positions::rotary;
    double rotary_base = 10000.0;
    bool causal = true;
    bool tied_embeddings = false;

    double hidden_dropout = 0.0, attention_dropout = 0.0, classifier_dropout = 0.0;
    double initializer_range = 0.02;

    HeadKind head = HeadKind::language_model;
    std::vector<std::string> labels; ///< classification: names in id order

    /// The whole config.json this came from, as text, so that export gives back what was read. Empty if made here.
    std::string source_json;
};

} // namespace trireme::framework
