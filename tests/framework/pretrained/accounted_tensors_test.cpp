// Every tensor of a folder is read, known to be redundant, or refused by name.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "cluster/error.hpp"
#include "framework/pretrained/export_model.hpp"
#include "framework/pretrained/pieces.hpp"
#include "framework/pretrained/safetensors_values.hpp"
#include "tests/framework/pretrained/golden_model.hpp"
#include "tests/framework/pretrained/published_model.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

namespace fs = std::filesystem;
using test::golden;
using test::GoldenModel;
using test::shape_of;
using test::TemporaryFolder;

/// A golden model, as a rule the tied one, with one more tensor, and a config.json that may say
/// more than it does.
class Accounted : public testing::Test {
  protected:
    std::string folder(std::string const& name, at::Tensor const& values,
                       nlohmann::json const& fields = nlohmann::json::object(),
                       std::string const& of = kTied) const {
        std::string const path = temporary_.path() + "/" + name;
        fs::create_directories(path);
        auto const entries = pretrained::find_tensors(golden(of));
        std::vector<pretrained::PlannedTensor> plan{{name, values.sizes().vec(), at::kFloat}};
        for (auto const& [tensor, entry] : entries)
            plan.push_back({tensor, shape_of(entry), at::kFloat, entry.shape.empty()});
        pretrained::SafetensorsWriter writer(path, plan, 1 << 30);
        writer.write(name, {storage::Shape(values.sizes().size()), values.sizes().vec()}, values);
        for (auto const& [tensor, entry] : entries)
            writer.write(tensor, {storage::Shape(shape_of(entry).size()), shape_of(entry)},
                         pretrained::read_tensor(tensor, entry));
        writer.finish();
        auto config = config_of(golden(of));
        config.update(fields);
        cluster::write_file(path + "/config.json", config.dump());
        return path;
    }
    std::string refusal(std::string const& path) const try {
        config::Config config;
        model::Config const model = test::golden_config(path, config);
        pretrained::check_weights(config.model, model);
        return "";
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    static at::Tensor embeddings() {
        auto const entries = pretrained::find_tensors(golden(kTied));
        return pretrained::read_tensor("model.embed_tokens.weight",
                                       entries.at("model.embed_tokens.weight"));
    }
    static constexpr char const* kTied = "llama-tied-biased";
    TemporaryFolder const temporary_;
};

TEST_F(Accounted, ACopyOfTiedEmbeddingsIsRedundantAndAnythingElseIsRefused) {
    EXPECT_EQ(refusal(folder("lm_head.weight", embeddings())), "");
    pretrained::SmallPieces const small; // of three rows
    for (std::int64_t const row : {0, 2, 3, 5, 6, 96}) {
        at::Tensor other = embeddings();
        other[row][2] += 1e-3;
        std::string const said = refusal(folder("lm_head.weight", other));
        EXPECT_NE(said.find("lm_head.weight differs from model.embed_tokens.weight"), said.npos);
    }
}

TEST_F(Accounted, ATensorThatNoPartOfTheModelReadsIsRefused) {
    for (auto const* name :
         {"lm_head.bias", "model.layers.0.self_attn.k_norm.weight", "model.layers.0.attn.bias",
          "cls.predictions.bias", "model.layers.9.mlp.up_proj.weight"}) {
        std::string const said = refusal(folder(name, at::zeros({4})));
        EXPECT_NE(said.find(std::string("tensor ") + name + " has no place"), said.npos);
    }
}

/// Old versions of transformers saved what config.json gives; of the two, config.json is computed
/// with.
TEST_F(Accounted, ABufferIsProvedToBeWhatTheConfigurationGivesAndElseRefused) {
    constexpr char const* kName = "model.layers.0.self_attn.rotary_emb.inv_freq";
    at::Tensor const frequencies = at::pow(10000.0, at::arange(0, 8, 2) / -8.0);
    EXPECT_EQ(refusal(folder(kName, frequencies)), "");
    EXPECT_NE(refusal(folder(kName, at::pow(500000.0, at::arange(0, 8, 2) / -8.0)))
                  .find("other frequencies than rope_theta 10000 of config.json"),
              std::string::npos);
    auto const judged = [&](char const* model, char const* name, at::Tensor const& values) {
        return refusal(folder(name, values, nlohmann::json::object(), model));
    };
    at::Tensor const mask = at::ones({1, 1, 16, 16}).tril();
    EXPECT_EQ(judged("gpt2", "transformer.h.0.attn.bias", mask), "");
    std::string const all = judged("gpt2", "transformer.h.0.attn.bias", at::ones_like(mask));
    EXPECT_NE(all.find("no causal mask"), all.npos);
    EXPECT_EQ(judged("gpt2", "transformer.h.1.attn.masked_bias", at::full({1}, -1e4)), "");
    std::string const zero = judged("gpt2", "transformer.h.1.attn.masked_bias", at::zeros({1}));
    EXPECT_NE(zero.find("-10000 or less"), zero.npos);
    EXPECT_NE(judged("bert", "bert.embeddings.position_ids", at::arange(15, -1, -1).to(at::kFloat))
                  .find("positions"),
              std::string::npos);
}

TEST_F(Accounted, ShardsOfAnotherSaveAreRefused) {
    for (bool const sharded : {false, true}) {
        std::string const path = temporary_.path() + (sharded ? "/sharded" : "/single");
        publish("llama", path, at::kFloat, sharded ? 20'000 : 1 << 30);
        EXPECT_EQ(refusal(path), "");
        fs::copy(golden("llama") + "/model.safetensors",
                 path + "/model-00009-of-00009.safetensors");
        EXPECT_NE(refusal(path).find("model-00009-of-00009.safetensors: would not be read"),
                  std::string::npos);
    }
}

TEST_F(Accounted, FieldsOfOtherPeoplesToolsChangeNothingAndOthersAreRefused) {
    EXPECT_EQ(refusal(folder("lm_head.weight", embeddings(),
                             {{"is_llama_config", true},
                              {"rope_interleaved", false},
                              {"unsloth_version", "2026.4.5"},
                              {"transformers.js_config", {{"dtype", "q4"}}},
                              {"model_max_length", 64},
                              {"auto_map", {{"AutoTokenizer", {"x.Y", nullptr}}}}})),
              "");
    for (auto const& [name, value] : {std::pair{"rope_interleaved", nlohmann::json(true)},
                                      {"auto_map", {{"AutoModelForCausalLM", "x.Y"}}},
                                      {"logit_scale", 2}})
        EXPECT_NE(refusal(folder("lm_head.weight", embeddings(), {{name, value}})).find(name),
                  std::string::npos)
            << name;
}

} // namespace
} // namespace trireme::framework
