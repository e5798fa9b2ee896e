// Fields of config.json that are refused by name, each with its value and what is legal.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/framework/pretrained/changed_config.hpp"

namespace trireme::framework {
namespace {

TEST(HfConfig, TwoListsOfLabelsThatContradictAreRefused) {
    auto const with = [](json const& names, json const& ids) {
        return refusal("bert", {{"id2label", names}, {"label2id", ids}});
    };
    json const names{{"0", "no"}, {"1", "yes"}};
    EXPECT_EQ(with(names, {{"no", 0}, {"yes", 1}}), "accepted");
    EXPECT_EQ(with(names, {{"no", 1}, {"yes", 0}}),
              "label2id: \"no\" is 1, and by id2label that is \"yes\"; legal: the same names and "
              "ids in both");
    EXPECT_EQ(with(names, {{"no", 0}, {"yes", 2}}),
              "label2id: \"yes\" is 2, which id2label does not have; legal: the same names and ids "
              "in both");
    EXPECT_EQ(with(names, {{"no", 0}, {"yes", true}}),
              "label2id: \"yes\" is true, which id2label does not have; legal: the same names and "
              "ids in both");
    EXPECT_EQ(with(names, {5}), "label2id: [5]: legal: an object");
    EXPECT_EQ(with(names, nullptr), "accepted");
}

TEST(HfConfig, WhatIsNotComputedIsRefusedByNameWithItsValueAndWhatIsLegal) {
    struct Case {
        char const* model;
        json fields;
        char const* message;
    };
    std::vector<Case> const cases{
        {"llama",
         {{"model_type", "gemma"}},
         "model_type: \"gemma\": legal: bert, roberta, xlm-roberta, camembert, distilbert, "
         "eurobert, modernbert, gpt2, gpt_neox, llama, mistral, ministral, qwen2, qwen3, apertus, "
         "granite, smollm3, phi3, olmo2, olmo3, gemma2, gemma3_text"},
        {"llama",
         {{"hidden_act", "quick_gelu"}},
         "hidden_act: \"quick_gelu\": legal: silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu"},
        {"llama", {{"pretraining_tp", 2}}, "pretraining_tp: 2: legal: 1"},
        {"llama", {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor: 0.5: legal: 1.0"},
        {"llama",
         {{"num_key_value_heads", 2}},
         "num_key_value_heads: 2: legal: a divisor of num_attention_heads"},
        {"llama", {{"head_dim", 7}}, "head_dim: 7: legal: an even number, for rotary positions"},
        {"llama",
         {{"attention_dropout", 1.0}},
         "attention_dropout: 1.0: legal: a number in [0, 1)"},
        {"llama", {{"attention_bias", 1}}, "attention_bias: 1: legal: true or false"},
        {"llama", {{"hidden_size", 24.5}}, "hidden_size: 24.5: legal: a whole number"},
        {"llama", {{"hidden_size", nullptr}}, "hidden_size: missing; legal: a whole number"},
        {"llama", {{"vocab_size", 0}}, "vocab_size: 0: legal: a whole number > 0"},
        {"llama",
         {{"sliding_window", 5}},
         "sliding_window: 5: a field this version does not know, so the model might be computed "
         "wrongly"},
        {"llama",
         {{"quantization_config", {{"bits", 4}}}},
         R"(quantization_config: {"bits":4}: legal: null)"},
        {"llama",
         {{"per_layer_config", {{"0", {}}}}},
         R"(per_layer_config: {"0":null}: legal: null)"},
        {"llama",
         {{"rope_parameters", {{"rope_type", "longrope"}, {"factor", 4.0}}}},
         R"(rope_parameters.rope_type: "longrope": legal: default, linear, llama3, yarn)"},
        {"llama",
         {{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}},
         R"(rope_scaling.type: "dynamic": legal: default, linear, llama3, yarn)"},
        {"llama-yarn",
         {{"rope_parameters", {{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_fast", 1.0}}}},
         "rope_parameters.beta_fast: 1.0: legal: more than beta_slow"},
        {"llama-yarn",
         {{"rope_parameters", {{"rope_type", "yarn"}, {"factor", 4.0}, {"rope_theta", 1.0}}}},
         "rope_parameters.rope_theta: 1.0: legal: a number > 1"},
        {"phi3",
         {{"rope_parameters", {{"rope_type", "linear"}, {"factor", 4.0}}}},
         R"(rope_parameters.rope_type: "linear": legal: default, longrope)"},
        {"phi3-longrope",
         {{"rope_parameters", {{"rope_type", "longrope"}, {"short_factor", {1.0, 2.0}}}}},
         "rope_parameters.short_factor: [1.0,2.0]: legal: a list of 4 numbers > 0"},
        {"phi3-longrope",
         {{"rope_parameters", "(absent)"}, {"partial_rotary_factor", 0.4}},
         "partial_rotary_factor: 0.4: legal: a share of the head size 8 that is even"},
        {"roberta-classifier",
         {{"pad_token_id", nullptr}},
         "pad_token_id: null: legal: a token: positions are counted from it"},
        {"roberta-classifier",
         {{"max_position_embeddings", 2}},
         "max_position_embeddings: 2: legal: more than pad_token_id + 1"},
        {"distilbert-classifier", {{"n_heads", 5}}, "n_heads: 5: legal: a divisor of dim"},
        {"eurobert-classifier",
         {{"classifier_pooling", "max"}},
         R"(classifier_pooling: "max": legal: bos, mean, late)"},
        {"eurobert-classifier", {{"is_causal", true}}, "is_causal: true: legal: false"},
        {"modernbert-classifier",
         {{"classifier_pooling", "late"}},
         R"(classifier_pooling: "late": legal: cls, mean)"},
        {"modernbert-classifier", {{"mlp_dropout", 0.1}}, "mlp_dropout: 0.1: legal: 0.0"},
        {"modernbert-classifier",
         {{"attention_dropout", 0.1}},
         "attention_dropout: 0.1: legal: 0.0"},
        {"modernbert-classifier",
         {{"local_attention", 0}},
         "local_attention: 0: legal: a whole number > 0"},
        {"modernbert-classifier",
         {{"hidden_activation", "xielu"}},
         "hidden_activation: \"xielu\": legal: silu, swish, gelu, gelu_new, gelu_pytorch_tanh, "
         "relu"},
        {"apertus",
         {{"hidden_act", "quick_gelu"}},
         "hidden_act: \"quick_gelu\": legal: xielu, silu, swish, gelu, gelu_new, "
         "gelu_pytorch_tanh, relu"},
        {"apertus", {{"qk_norm", false}}, "qk_norm: false: legal: true"},
        {"apertus", {{"post_norm", true}}, "post_norm: true: legal: false"},
        {"apertus",
         {{"rope_parameters", "(absent)"}},
         "rope_parameters: absent: legal: an object with rope_type"},
        {"smollm3",
         {{"no_rope_layers", {1, 0}}},
         "no_rope_layers: [1,0]: legal: one for each of 3 layers"},
        {"gemma3",
         {{"use_bidirectional_attention", true}},
         "use_bidirectional_attention: true: legal: false"},
        {"gemma3",
         {{"layer_types", {"full_attention", "full_attention"}}},
         R"(layer_types: ["full_attention","full_attention"]: legal: one for each of 3 layers)"},
        {"olmo3",
         {{"rope_parameters",
           {{"full_attention", {{"rope_type", "default"}}},
            {"sliding_attention", {{"rope_type", "linear"}, {"factor", 2.0}}}}}},
         R"(rope_parameters.sliding_attention.rope_type: "linear": legal: default)"},
        {"granite", {{"logits_scaling", 0}}, "logits_scaling: 0: legal: a number > 0"},
        {"llama",
         {{"rope_parameters", {{"rope_type", "linear"}, {"factor", 0.5}}}},
         "rope_parameters.factor: 0.5: legal: a number >= 1"},
        {"llama",
         {{"rope_parameters", {{"rope_type", "linear"}}}},
         "rope_parameters.factor: missing; legal: a number"},
        {"llama",
         {{"rope_parameters", {{"rope_type", "default"}, {"attention_factor", 2}}}},
         "rope_parameters.attention_factor: 2: a field this version does not know, so the model "
         "might be computed "
         "wrongly"},
        {"llama",
         {{"rope_theta", 500.0}},
         "rope_parameters.rope_theta: 10000.0: legal: 500, as rope_theta beside it says"},
        {"llama",
         {{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}},
         R"(rope_scaling: {"factor":2.0,"type":"linear"}: legal: what rope_parameters beside it says, or one of them)"},
        {"gpt2", {{"hidden_size", 25}}, "hidden_size: 25: legal: 24"},
        {"mistral", {{"attention_bias", true}}, "attention_bias: true: legal: false"},
        {"llama",
         {{"rope_parameters", {{"rope_type", "linear"}, {"type", "llama3"}, {"factor", 2.0}}}},
         R"(rope_parameters.type: "llama3": legal: linear, as rope_type says)"},
        {"llama3",
         {{"rope_parameters",
           {{"rope_type", "llama3"},
            {"factor", 8},
            {"low_freq_factor", 4},
            {"high_freq_factor", 4}}}},
         "rope_parameters.high_freq_factor: 4: legal: more than low_freq_factor"},
        {"gpt2", {{"add_cross_attention", true}}, "add_cross_attention: true: legal: false"},
        {"gpt2",
         {{"activation_function", "tanh"}},
         R"(activation_function: "tanh": legal: silu, swish, gelu, gelu_new, gelu_pytorch_tanh, relu)"},
        {"gpt2", {{"n_head", 5}}, "n_head: 5: legal: a divisor of n_embd"},
        {"gpt2", {{"n_ctx", 8}}, "n_ctx: 8: legal: 16"},
        {"gpt2", {{"pruned_heads", {{"0", {1}}}}}, R"(pruned_heads: {"0":[1]}: legal: {})"},
        {"bert", {{"is_decoder", true}}, "is_decoder: true: legal: false"},
        {"bert",
         {{"position_embedding_type", "relative_key"}},
         R"(position_embedding_type: "relative_key": legal: "absolute")"},
        {"mistral", {{"sliding_window", 0}}, "sliding_window: 0: legal: a whole number > 0"},
        {"mistral",
         {{"layer_types", {"full_attention", "full_attention"}}},
         R"(layer_types: ["full_attention","full_attention"]: a field this version does not know, so the model might be )"
         "computed wrongly"},
        {"qwen2",
         {{"layer_types", {"full_attention"}}},
         R"(layer_types: ["full_attention"]: legal: one for each of 2 layers)"},
        {"qwen2",
         {{"layer_types", {"full_attention", "chunked_attention"}}},
         R"(layer_types: ["full_attention","chunked_attention"]: legal: full_attention, sliding_attention)"},
        {"qwen2",
         {{"use_sliding_window", false}},
         R"(layer_types: ["full_attention","sliding_attention"]: legal: full_attention alone, as there is no sliding window)"},
        {"qwen2", {{"use_mrope", true}}, "use_mrope: true: legal: false"},
        {"qwen2",
         {{"pad_token_id", 97}},
         "pad_token_id: 97: legal: a token of the vocabulary, or null"},
        {"gpt2", {{"torchscript", true}}, "torchscript: true: legal: false"},
        {"llama",
         {{"auto_map", {{"AutoModel", "x.Y"}}}},
         R"(auto_map: {"AutoModel":"x.Y"}: legal: none, or one that names only an AutoTokenizer: no code of a model's own is run)"},
    };
    for (auto const& c : cases)
        EXPECT_EQ(refusal(c.model, c.fields), c.message) << c.model << " " << c.fields.dump();
}

} // namespace
} // namespace trireme::framework
