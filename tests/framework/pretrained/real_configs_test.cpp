// Fields that config.json of published models has: what changes nothing is taken, whatever tool
// wrote it, and what would compute something else is refused by its name.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/task_heads.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework::pretrained {
namespace {

using nlohmann::json;

model::Config read(json const& config) {
    test::TemporaryFolder const folder;
    cluster::write_file(folder.path() + "/config.json", config.dump());
    return read_hf_config(folder.path());
}

/// By the names that the models have on the hub.
json all_published() {
    return json::parse(cluster::read_file(std::string(TRIREME_GOLDEN) + "/published_configs.json"));
}
json published(std::string const& name) {
    return all_published().at(name);
}

/// The message without the path of the file; `name` with some fields changed.
std::string refusal(std::string const& name, json const& fields) {
    json config = published(name);
    config.update(fields);
    try {
        read(config);
    } catch (cluster::InputError const& error) {
        std::string const what = error.what();
        return what.substr(what.find("config.json: ") + 13);
    }
    return "accepted";
}

TEST(RealConfigs, EachIsRead) {
    json const all = all_published();
    EXPECT_GE(all.size(), 41U);
    for (auto const& [name, config] : all.items())
        EXPECT_EQ(refusal(name, json::object()), "accepted") << name;
}

TEST(RealConfigs, WhatIsComputedIsWhatTheySay) {
    EXPECT_EQ(read(published("distilgpt2")).layers, 6);
    EXPECT_EQ(read(published("lmsys/vicuna-7b-v1.5-16k")).rotary.factor, 4.0);
    EXPECT_EQ(read(published("mistralai/Mistral-7B-v0.1")).windows,
              std::vector<std::int64_t>(32, 4096));
    EXPECT_EQ(read(published("mistralai/Mistral-7B-v0.3")).windows,
              std::vector<std::int64_t>(32, 0));
    EXPECT_EQ(read(published("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B")).windows,
              std::vector<std::int64_t>(28, 0));
    EXPECT_EQ(read(published("Qwen/Qwen3-0.6B")).head_size, 128);
    EXPECT_TRUE(read(published("HuggingFaceTB/SmolLM2-135M-Instruct")).tied_embeddings);
    auto const roberta = read(published("AlexKay/xlm-roberta-large-qa-multilingual-finedtuned-ru"));
    EXPECT_EQ(roberta.max_positions, 512) << "of 514 rows the first two are no positions";
    EXPECT_EQ(roberta.position_offset, 2);
    auto const pythia = read(published("EleutherAI/pythia-1b"));
    EXPECT_EQ(pythia.rotary_size, 64);
    EXPECT_TRUE(pythia.parallel_residual);
    EXPECT_EQ(read(published("distilbert-base-uncased-finetuned-sst-2-english")).classifier_dropout,
              0.2);
    auto const gemma = read(published("google/gemma-3-1b-it"));
    EXPECT_EQ(std::ranges::count(gemma.windows, 0), 4) << "every sixth of 26 layers";
    EXPECT_EQ(gemma.windows[5], 0);
    EXPECT_EQ(gemma.layer_rotary[4], model::LayerRotary::local);
    EXPECT_TRUE(gemma.tied_embeddings);
}

/// They are Llamas and their like, and differ by sizes alone.
TEST(RealConfigs, EuropeansAndOpenRelativesAreComputedAsTheySay) {
    EXPECT_EQ(read(published("utter-project/EuroLLM-1.7B-Instruct")).kv_heads, 8);
    EXPECT_EQ(read(published("BSC-LT/salamandra-7b-instruct")).vocabulary, 256000);
    EXPECT_EQ(read(published("BSC-LT/salamandraTA-2B")).feed_forward, 5440);
    EXPECT_EQ(read(published("puettmann/SmolMaestra-1.7b-Translation")).rotary_base, 130000.0);
    EXPECT_EQ(read(published("allenai/OLMo-2-1124-7B")).query_key_norm, model::QueryKeyNorm::whole);
    EXPECT_EQ(read(published("unsloth/granite-3.2-2b-instruct")).logits_scale, 0.125);
    auto const gemma2 = read(published("prithivMLmods/GWQ-9B-Preview"));
    EXPECT_EQ(gemma2.windows[0], 4096);
    EXPECT_EQ(gemma2.windows[1], 0);
    EXPECT_EQ(gemma2.attention_cap, 50.0);
}

/// Teuken's folders name code for their tokenizer, and are Llamas otherwise. Others name code for
/// the model too, which is not run.
TEST(RealConfigs, OwnCodeIsTakenForATokenizerAlone) {
    json const tokenizer{{"AutoTokenizer", {"gptx_tokenizer.SPTokenizer", nullptr}}};
    std::string const name = "utter-project/EuroLLM-1.7B-Instruct";
    EXPECT_EQ(refusal(name, {{"auto_map", tokenizer}}), "accepted");
    json const model{{"AutoModelForCausalLM", "modeling_gptx.GPTXForCausalLM"}};
    EXPECT_EQ(refusal(name, {{"auto_map", model}}).substr(0, 9), "auto_map:");
}

/// transformers' defaults for fields that the first folders lack.
TEST(RealConfigs, WhatAnOldFolderLacksHasTheDefaultOfTransformers) {
    EXPECT_EQ(read(published("decapoda-research/llama-7b-hf")).max_positions, 2048);
    auto const without = [](std::string const& name, std::initializer_list<char const*> fields) {
        json config = published(name);
        for (auto const* field : fields) config.erase(field);
        return read(config);
    };
    model::Config const bert =
        without("bert-base-uncased", {"hidden_act", "type_vocab_size", "max_position_embeddings"});
    EXPECT_EQ(bert.activation, model::Activation::gelu);
    EXPECT_EQ(bert.token_types, 2);
    EXPECT_EQ(bert.max_positions, 512);
    model::Config const gpt2 = without("distilgpt2", {"activation_function"});
    EXPECT_EQ(gpt2.activation, model::Activation::gelu_tanh);
    std::string const name = "mistralai/Mistral-7B-v0.1";
    EXPECT_EQ(without(name, {"max_position_embeddings"}).max_positions, 131072);
    EXPECT_EQ(without("Qwen/Qwen2.5-0.5B", {"max_position_embeddings"}).max_positions, 32768);
}

TEST(RealConfigs, WhatWouldComputeSomethingElseIsRefused) {
    struct Case {
        char const* name;
        json fields;
        char const* message;
    };
    std::string const unknown = ": a field this version does not know, so the model might be "
                                "computed wrongly";
    std::vector<Case> const cases{
        {"google/bert_uncased_L-2_H-128_A-2",
         {{"model_type", nullptr}},
         "model_type: null: legal: bert, roberta, xlm-roberta, camembert, distilbert, eurobert, "
         "modernbert, gpt2, gpt_neox, llama, mistral, ministral, qwen2, qwen3, apertus, granite, "
         "smollm3, phi3, olmo2, olmo3, gemma2, gemma3_text; the first folders of a family lack it: "
         "add it"},
        {"bert-base-uncased", {{"embedding_size", 128}}, "embedding_size: 128: legal: 768"},
        {"TinyLlama/TinyLlama-1.1B-Chat-v1.0", {{"bias", true}}, "bias: true: legal: false"},
        {"TinyLlama/TinyLlama-1.1B-Chat-v1.0",
         {{"resid_pdrop", 0.1}},
         "resid_pdrop: 0.1: legal: 0.0"},
        {"Qwen/Qwen2.5-0.5B", {{"is_causal", false}}, "is_causal: false: legal: true"},
        {"BSC-LT/salamandraTA-2B", {{"num_layers", 12}}, "num_layers: 12: legal: 24"},
        {"prithivMLmods/GWQ-9B-Preview",
         {{"sliding_window_size", 1024}},
         "sliding_window_size: 1024: legal: 4096"},
        {"meta-llama/Llama-3.1-8B-Instruct",
         {{"quantization", {{"bits", 4}}}},
         R"(quantization: {"bits":4}: legal: null)"},
        {"Qwen/Qwen2.5-0.5B",
         {{"dual_chunk_attention_config", {{"chunk_size", 262144}}}},
         R"(dual_chunk_attention_config: {"chunk_size":262144}: legal: null)"},
        {"Qwen/Qwen2.5-0.5B",
         {{"rope_scaling", {{"type", "dynamic"}, {"factor", 4.0}}}},
         R"(rope_scaling.type: "dynamic": legal: default, linear, llama3, yarn)"},
    };
    for (auto const& c : cases) EXPECT_EQ(refusal(c.name, c.fields), c.message) << c.name;
    // a family's own leftovers are not every family's
    EXPECT_EQ(refusal("Qwen/Qwen3-0.6B", {{"pooler_type", "cls"}}),
              "pooler_type: \"cls\"" + unknown);
    EXPECT_EQ(refusal("bert-base-uncased", {{"summary_type", "cls"}}),
              "summary_type: \"cls\"" + unknown);
    EXPECT_EQ(refusal("distilgpt2", {{"mup_width_scale", 0.1}}), "mup_width_scale: 0.1" + unknown);
}

/// transformers computes no layer that slides without a window.
TEST(RealConfigs, AWindowOfNullNeedsLayersThatAreAllFull) {
    json fields{{"sliding_window", nullptr}};
    for (auto const& [type, name] : {std::pair{"gemma3_text", "google/gemma-3-1b-it"},
                                     {"gemma2", "prithivMLmods/GWQ-9B-Preview"},
                                     {"olmo3", "allenai/OLMo-2-1124-7B"}}) {
        fields["model_type"] = type;
        fields.erase("layer_types");
        EXPECT_EQ(refusal(name, fields), "sliding_window: null: legal: a whole number > 0, or "
                                         "layer_types of full_attention alone");
        auto const layers = published(name).at("num_hidden_layers").get<std::size_t>();
        fields["layer_types"] = std::vector<std::string>(layers, "full_attention");
        EXPECT_EQ(refusal(name, fields), "accepted") << type;
    }
}

/// The head for tokens drops as transformers' does: by classifier_dropout, else by a decoder's own
/// hidden_dropout, else a tenth.
TEST(RealConfigs, TokensOfDecodersAreDroppedAsTheFileSays) {
    auto const dropout = [](std::string const& name, json const& fields) {
        json config = published(name);
        config.update(fields);
        model::Config model = read(config);
        model.head = model::HeadKind::token_classification;
        return head_dropout(model);
    };
    std::string const llama = "utter-project/EuroLLM-1.7B-Instruct", neox = "EleutherAI/pythia-1b";
    EXPECT_EQ(dropout(llama, json::object()), 0.1);
    EXPECT_EQ(dropout(llama, {{"hidden_dropout", 0.0}}), 0.0);
    EXPECT_EQ(dropout(llama, {{"hidden_dropout", 0.0}, {"classifier_dropout", 0.3}}), 0.3);
    EXPECT_EQ(dropout(llama, {{"hidden_dropout", 0.0}, {"classifier_dropout", nullptr}}), 0.0);
    EXPECT_EQ(dropout(neox, {{"classifier_dropout", 0.25}}), 0.25);
    EXPECT_EQ(read(published(llama)).classifier_dropout, 0.0) << "of whole texts: none";
    for (auto const& name : {llama, neox})
        EXPECT_EQ(refusal(name, {{"classifier_dropout", 1}}),
                  "classifier_dropout: 1: legal: a number in [0, 1)");
}

/// ModernBERT's first and every third layer are full; the others see 64 tokens to each side.
TEST(RealConfigs, ModernBertAndApertusAreComputedAsTheySay) {
    auto const modern = read(published("answerdotai/ModernBERT-base"));
    ASSERT_EQ(modern.windows.size(), 22U);
    EXPECT_EQ(modern.windows[0], 0);
    EXPECT_EQ(modern.windows[1], 65) << "itself too";
    EXPECT_EQ(modern.windows[21], 0);
    EXPECT_EQ(modern.layer_rotary[2], model::LayerRotary::local);
    EXPECT_EQ(modern.rotary_base, 160000.0);
    EXPECT_EQ(modern.local_rotary_base, 10000.0);
    EXPECT_EQ(modern.pooling, model::Pooling::mean);
    EXPECT_FALSE(modern.norm_bias || modern.first_norm || modern.attention_bias);
    auto const apertus = read(published("swiss-ai/Apertus-8B-2509"));
    EXPECT_EQ(apertus.activation, model::Activation::xielu);
    EXPECT_EQ(apertus.rotary.factor, 8.0);
    EXPECT_EQ(apertus.query_key_norm, model::QueryKeyNorm::heads);
    EXPECT_FALSE(apertus.gated);
}

/// The file but for its auto_map, which is refused: transformers has the model's code itself.
TEST(RealConfigs, LongTextsOfPhi4HaveFactorsOfTheirOwn) {
    auto const phi = read(published("microsoft/Phi-4-mini-instruct"));
    EXPECT_EQ(phi.max_positions, 131072);
    EXPECT_EQ(phi.short_context(), 4096);
    EXPECT_EQ(phi.rotary_size, 96);
    EXPECT_EQ(phi.rotary.long_factors.back(), 47.77);
    EXPECT_NEAR(phi.rotary.amplitude, 1.1902, 1e-4);
    json const model{{"AutoModelForCausalLM", "modeling_phi3.Phi3ForCausalLM"}};
    EXPECT_EQ(refusal("microsoft/Phi-4-mini-instruct", {{"auto_map", model}}).substr(0, 9),
              "auto_map:");
}

/// Phi-4-mini's file says more than Phi-3's.
TEST(RealConfigs, FieldsOfThePublishedPhi4AreTaken) {
    std::string const path = std::string(TRIREME_GOLDEN) + "/phi3/config.json";
    json config = json::parse(cluster::read_file(path));
    config.update({{"full_attn_mod", 1}, {"interpolate_factor", 1}, {"lm_head_bias", false}});
    EXPECT_NO_THROW(read(config));
    config["full_attn_mod"] = 2;
    EXPECT_THROW(read(config), cluster::InputError);
}

TEST(RealConfigs, WhatToolsSayOfPartsThatAreNotThereIsTaken) {
    for (auto const* name : {"TinyLlama/TinyLlama-1.1B-Chat-v1.0", "mistralai/Mistral-7B-v0.1",
                             "Qwen/Qwen2.5-0.5B", "Qwen/Qwen3-0.6B"})
        EXPECT_EQ(refusal(name, {{"bias", false},
                                 {"use_bias", false},
                                 {"resid_pdrop", 0.0},
                                 {"embd_pdrop", 0},
                                 {"is_causal", true},
                                 {"max_seq_len", 4096},
                                 {"use_flash_attention_2", true}}),
                  "accepted")
            << name;
}

} // namespace
} // namespace trireme::framework::pretrained
