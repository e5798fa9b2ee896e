// config.json of every family: each field mapped, harmless, or refused by name, as transformers 4
// and 5 write it.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using nlohmann::json;

json golden_json(std::string const& name) {
    return json::parse(
        cluster::read_file(std::string(TRIREME_GOLDEN) + "/" + name + "/config.json"));
}

model::Config read(json const& config) {
    test::TemporaryFolder const folder;
    cluster::write_file(folder.path() + "/config.json", config.dump());
    return pretrained::read_hf_config(folder.path());
}

/// The golden configuration with some fields changed; null stands, "(absent)" takes a field away.
model::Config changed(std::string const& name, json const& fields) {
    json config = golden_json(name);
    for (auto const& [field, value] : fields.items()) {
        config[field] = value;
        if (value == "(absent)") config.erase(field);
    }
    return read(config);
}

/// The message without the path of the file.
std::string refusal(std::string const& name, json const& fields) {
    try {
        changed(name, fields);
    } catch (cluster::InputError const& error) {
        std::string const what = error.what();
        return what.substr(what.find("config.json: ") + 13);
    }
    return "accepted";
}

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
         "eurobert, gpt2, gpt_neox, llama, mistral, ministral, qwen2, qwen3, granite, smollm3, "
         "phi3, olmo2, olmo3, gemma2, gemma3_text"},
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

TEST(HfConfig, BothSpellingsOfRotaryPositionsMeanTheSame) {
    json const llama3{{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 32}};
    json with_base = llama3;
    with_base["rope_theta"] = 500.0;
    for (auto const& fields :
         {json{{"rope_parameters", with_base}},
          json{{"rope_parameters", "(absent)"}, {"rope_theta", 500.0}, {"rope_scaling", llama3}}}) {
        model::Config const c = changed("llama3", fields);
        EXPECT_EQ(c.rotary_base, 500.0);
        EXPECT_EQ(c.rotary.scaling, model::RotaryScaling::llama3);
        EXPECT_EQ(c.rotary.factor, 8.0);
        EXPECT_EQ(c.rotary.high_frequency, 4.0);
        EXPECT_EQ(c.rotary.original_context, 32);
    }
    model::Config const old =
        changed("llama", {{"rope_parameters", "(absent)"},
                          {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}});
    EXPECT_EQ(old.rotary.scaling, model::RotaryScaling::linear);
    EXPECT_EQ(old.rotary_base, 10000.0);
    EXPECT_EQ(changed("llama3", {{"rope_scaling", json::object()}}).rotary.scaling,
              model::RotaryScaling::llama3);
    EXPECT_EQ(changed("llama", {{"rope_scaling", {{"type", "default"}}}}).rotary_base, 10000.0)
        << "both agree";
    EXPECT_EQ(
        changed("llama",
                {{"rope_parameters", "(absent)"}, {"rope_theta", 7.0}, {"rope_scaling", nullptr}})
            .rotary_base,
        7.0);
}

TEST(HfConfig, AbsentFieldsHaveTheDefaultsOfTransformers) {
    using Windows = std::vector<std::int64_t>;
    EXPECT_EQ(changed("mistral", {}).windows, (Windows{5, 5}));
    EXPECT_EQ(changed("mistral", {{"sliding_window", nullptr}}).windows, (Windows{0, 0}));
    EXPECT_EQ(changed("mistral", {{"sliding_window", "(absent)"}}).windows, (Windows{4096, 4096}));
    json const heads{{"num_attention_heads", 16},
                     {"num_key_value_heads", "(absent)"},
                     {"hidden_size", 32},
                     {"head_dim", "(absent)"}};
    EXPECT_EQ(changed("mistral", heads).kv_heads, 8);
    EXPECT_EQ(changed("llama", heads).kv_heads, 16);
    EXPECT_EQ(changed("llama", heads).head_size, 2);
    EXPECT_EQ(changed("qwen3", {{"head_dim", "(absent)"}}).head_size, 128);
    EXPECT_TRUE(changed("gpt2", {{"tie_word_embeddings", "(absent)"}}).tied_embeddings);
    EXPECT_FALSE(changed("llama", {{"tie_word_embeddings", "(absent)"}}).tied_embeddings);
    model::Config const gpt2 =
        changed("gpt2", {{"resid_pdrop", 0.25}, {"embd_pdrop", "(absent)"}, {"attn_pdrop", 0}});
    EXPECT_EQ(gpt2.hidden_dropout, 0.25);
    EXPECT_EQ(gpt2.embedding_dropout, 0.1);
    EXPECT_EQ(gpt2.attention_dropout, 0.0);
    EXPECT_EQ(gpt2.feed_forward, 96);
}

TEST(HfConfig, PaddingIsUntrainedWhereTransformersSaysSo) {
    EXPECT_EQ(changed("bert", {{"pad_token_id", "(absent)"}}).untrained_token, 0);
    EXPECT_EQ(changed("bert", {{"pad_token_id", nullptr}}).untrained_token, -1);
    EXPECT_EQ(changed("qwen2", {{"pad_token_id", "(absent)"}}).untrained_token, -1);
    EXPECT_EQ(changed("qwen2", {{"pad_token_id", 5}}).untrained_token, 5);
    EXPECT_EQ(changed("qwen2", {{"pad_token_id", -1}}).untrained_token, 96);
    model::Config const gpt2 = changed("gpt2", {{"pad_token_id", 5}});
    EXPECT_EQ(gpt2.pad_token, 5);
    EXPECT_EQ(gpt2.untrained_token, -1);
}

TEST(HfConfig, WindowsOfAQwenFollowItsLayers) {
    using Windows = std::vector<std::int64_t>;
    EXPECT_EQ(changed("qwen2", {}).windows, (Windows{0, 3}));
    json const old{{"layer_types", "(absent)"}, {"max_window_layers", 0}};
    EXPECT_EQ(changed("qwen2", old).windows, (Windows{3, 3}));
    EXPECT_EQ(changed("qwen2", {{"layer_types", "(absent)"}, {"max_window_layers", 2}}).windows,
              (Windows{0, 0}));
    EXPECT_EQ(
        changed("qwen2", {{"layer_types", "(absent)"}, {"use_sliding_window", false}}).windows,
        (Windows{0, 0}));
    EXPECT_EQ(changed("qwen2", {{"layer_types", {"sliding_attention", "full_attention"}}}).windows,
              (Windows{3, 0}));
}

TEST(HfConfig, ScoresAreScaledAsGpt2Says) {
    double const root = 1 / std::sqrt(8.0);
    EXPECT_TRUE(changed("gpt2", {}).attention_scale.empty());
    EXPECT_EQ(changed("gpt2", {{"scale_attn_weights", false}}).attention_scale,
              (std::vector<double>{1, 1}));
    EXPECT_EQ(changed("gpt2", {{"scale_attn_by_inverse_layer_idx", true}}).attention_scale,
              (std::vector<double>{root, root / 2}));
}

/// Reads configurations as published, with fields that only transformers 4 and older wrote.
TEST(HfConfig, RealConfigurationsAreRead) {
    model::Config const gpt2 = read(
        json::parse(R"({"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
        "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1,
        "summary_proj_to_labels": true, "summary_type": "cls_index", "summary_use_proj": true,
        "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257})"));
    EXPECT_EQ(gpt2.feed_forward, 3072);
    EXPECT_EQ(gpt2.activation, model::Activation::gelu_tanh);
    EXPECT_TRUE(gpt2.input_major && gpt2.tied_embeddings);

    model::Config const llama =
        read(json::parse(R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
        "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "head_dim": 64,
        "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 8192,
        "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32,
        "num_hidden_layers": 16, "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05,
        "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0", "use_cache": true,
        "vocab_size": 128256})"));
    EXPECT_EQ(llama.rotary.factor, 32.0);
    EXPECT_EQ(llama.rotary.original_context, 8192);
    EXPECT_EQ(llama.head_size, 64);

    model::Config const qwen =
        read(json::parse(R"({"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
        "bos_token_id": 151643, "eos_token_id": 151645, "hidden_act": "silu", "hidden_size": 896,
        "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21,
        "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true,
        "torch_dtype": "bfloat16", "transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false,
        "vocab_size": 151936})"));
    EXPECT_TRUE(qwen.attention_bias);
    EXPECT_FALSE(qwen.output_bias);
    EXPECT_EQ(qwen.windows, std::vector<std::int64_t>(24, 0));
    EXPECT_EQ(qwen.rotary_base, 1000000.0);
}

TEST(HfConfig, FieldsThatNoFamilyReadsAreHarmlessWhereTheySayNothing) {
    for (auto const* family : {"bert", "gpt2", "llama", "mistral", "qwen2", "qwen3"})
        EXPECT_NO_THROW(changed(family, {{"xla_device", true},
                                         {"eos_token_ids", 0},
                                         {"max_sequence_length", 2048},
                                         {"generation_config", nullptr},
                                         {"of_a_later_version", nullptr}}))
            << family;
    for (auto const* family : {"mistral", "qwen3"})
        EXPECT_NO_THROW(changed(
            family, {{"attention_bias", false}, {"mlp_bias", false}, {"pretraining_tp", 1}}));
    EXPECT_NO_THROW(
        changed("gpt2", {{"n_special", 0}, {"predict_special_tokens", true}, {"hidden_size", 24}}));
    EXPECT_NE(refusal("llama", {{"of_a_later_version", false}}), "accepted");
}

/// Export with another dtype, in the field of whichever version wrote the configuration.
TEST(HfConfig, ADtypeThatChangedIsNamed) {
    for (auto const* field : {"dtype", "torch_dtype"}) {
        json fields{{"dtype", "(absent)"}, {"torch_dtype", "(absent)"}};
        fields[field] = "bfloat16";
        model::Config const c = changed("llama", fields);
        EXPECT_EQ(json::parse(pretrained::to_hf_config(c, "float32")).at(field), "float32");
        EXPECT_EQ(json::parse(pretrained::to_hf_config(c, "")), json::parse(c.source_json));
    }
}

} // namespace
} // namespace trireme::framework
