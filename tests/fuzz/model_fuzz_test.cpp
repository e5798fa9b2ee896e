// Readers of a model's files that somebody else wrote, fed with damaged ones: an InputError, or
// what was read.
#include <gtest/gtest.h>

#include <array>

#include "cluster/file.hpp"
#include "data/chat_templates.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/generation/stop_tokens.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "framework/verify/fingerprint_file.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using test::fuzz;
using test::fuzz_json;
using test::fuzz_with;
using test::FuzzLimits;
using test::put;

class ModelFuzz : public testing::Test {
  protected:
    static std::string golden(std::string const& path) {
        return cluster::read_file(std::string(TRIREME_GOLDEN) + "/" + path);
    }
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    test::TemporaryFolder folder_;
};

TEST_F(ModelFuzz, HeaderOfSafetensors) {
    auto const read = [&](std::string const& text) {
        std::uint64_t const size = text.size(); // one that fits the damaged header
        put(path("model.safetensors"),
            std::string(reinterpret_cast<char const*>(&size), 8) + text + std::string(40, '\1'));
        for (auto const& [name, entry] : pretrained::find_tensors(folder_.path()))
            EXPECT_LE(entry.offset + entry.bytes, static_cast<std::int64_t>(size) + 48);
    };
    fuzz_json(
        R"({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
"b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}, "c": {"dtype": "I64", "shape": [], "data_offsets": [32, 40]}})",
        read);
}

TEST_F(ModelFuzz, BytesOfSafetensors) {
    std::string const header = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";
    std::uint64_t const size = header.size();
    fuzz(std::string(reinterpret_cast<char const*>(&size), 8) + header + std::string(24, '\1'),
         [&](std::string const& text) {
             put(path("model.safetensors"), text);
             pretrained::find_tensors(folder_.path());
         });
}

TEST_F(ModelFuzz, IndexOfSafetensors) {
    std::string const header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    std::uint64_t const size = header.size();
    put(path("one.safetensors"),
        std::string(reinterpret_cast<char const*>(&size), 8) + header + std::string(8, '\1'));
    fuzz_json(R"({"metadata": {"total_size": 1}, "weight_map": {"a": "one.safetensors"}})",
              [&](std::string const& text) {
                  put(path("model.safetensors.index.json"), text);
                  pretrained::find_tensors(folder_.path());
              });
}

TEST_F(ModelFuzz, ConfigOfHuggingFace) {
    constexpr std::array kModels{"llama",  "bert",   "gpt2-classifier", "qwen3-classifier",
                                 "llama3", "mistral"};
    for (std::string const model : kModels)
        fuzz_json(
            golden(model + "/config.json"),
            [&](std::string const& text) {
                put(path("config.json"), text);
                model::Config const config = pretrained::read_hf_config(folder_.path());
                pretrained::class_names_of(config);
                pretrained::problem_of(config);
                pretrained::to_hf_config(config, "");
            },
            FuzzLimits::asked().part(kModels.size()));
}

TEST_F(ModelFuzz, TokenizerFiles) {
    std::string const tokenizer = golden("tokenizer/tokenizer.json");
    put(path("tokenizer_config.json"), R"({"pad_token": "[PAD]"})");
    put(path("tokenizer.json"), tokenizer);
    test::TemporaryFolder const other;
    put(other.path() + "/tokenizer.json", tokenizer);
    std::string const hash = cluster::xxh3_of_file(path("tokenizer.json"));
    fuzz_json(
        tokenizer,
        [&](std::string const& text) {
            put(path("tokenizer.json"), text);
            data::pad_token_of(folder_.path());
            data::check_same_tokenizer(other.path(), hash, folder_.path());
        },
        FuzzLimits::asked().part(2));
    put(path("tokenizer.json"), tokenizer);
    fuzz_json(R"({"pad_token": {"content": "[PAD]", "lstrip": false}, "model_max_length": 512})",
              [&](std::string const& text) {
                  put(path("tokenizer_config.json"), text);
                  data::pad_token_of(folder_.path());
              },
              FuzzLimits::asked().part(2));
}

TEST_F(ModelFuzz, ChatTemplates) {
    put(path("chat_template.jinja"), "{{ a }}");
    fuzz_json(R"({"chat_template": [{"name": "default", "template": "{{ a }}"}, {"name": "b"}]})",
              [&](std::string const& text) {
                  put(path("tokenizer_config.json"), text);
                  data::check_chat_templates({folder_.path()});
              });
}

TEST_F(ModelFuzz, StopTokens) {
    fuzz_json(R"({"eos_token_id": [4, 2], "bos_token_id": 5, "top_p": 0.9})",
              [&](std::string const& text) {
                  put(path("generation_config.json"), text);
                  generation::stop_tokens(folder_.path());
              });
}

TEST_F(ModelFuzz, TokensAndLabelsOfVerify) {
    fuzz_json(R"({"input_ids": [[1, 2, 3], [4, 5]], "labels": [[-100, 2, 3], [4, 5]]})",
              [&](std::string const& text) {
                  put(path("tokens.json"), text);
                  model::Config model;
                  model.vocabulary = model.max_positions = 6;
                  verify::make_dataset(verify::read_token_file(path("tokens.json")), model);
              });
}

TEST_F(ModelFuzz, Fingerprint) {
    fuzz_json(
        R"({"input_ids": [[1, 2], [3]], "labels": [[1, 2], [3]], "loss": 1.5, "logits": [{"mean": 0.5, "rms": 1.5,
"last_token": [1.5, 2]}, {"mean": 0.25, "rms": 1, "last_token": [3]}], "bounds": {"fp64": 1e-4, "fp32": 1e-4,
"bf16": 0.1}, "files": {"model.safetensors": {"sha256": "ab", "tensors": {"a": "cd"}}}})",
        [&](std::string const& text) {
            put(path(verify::kFingerprintFile), text);
            verify::read_fingerprint(folder_.path());
        });
}

} // namespace
} // namespace trireme::framework
