// config.json of every family: each field mapped, harmless, or refused by name, as transformers 4
// and 5 write it.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "framework/pretrained/hf_config.hpp"
#include "tests/framework/pretrained/changed_config.hpp"

namespace trireme::framework {
namespace {

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
