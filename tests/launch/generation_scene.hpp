// A tokenizer of whole words and a model, for tests of prompts and completions.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

using Tokens = std::vector<std::int32_t>;
namespace fs = std::filesystem;

inline std::vector<std::string> const kWords{"ant", "bee", "cow", "dog",
                                             "elk", "fox", "gnu", "hen"};

/// Whole words; the template puts <s> in front and, as a trap, </s> behind, which no prompt may
/// keep.
constexpr char const* kTokenizer =
    R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
{"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
"normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
"post_processor": {"type": "TemplateProcessing",
"single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
"special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"<s>": 0, "</s>": 1, "?": 2, "=": 3,
"ant": 4, "bee": 5, "cow": 6, "dog": 7, "elk": 8, "fox": 9, "gnu": 10, "hen": 11}}})";

constexpr char const* kModel = R"({"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2,
"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "vocab_size": 13,
"max_position_embeddings": 12, "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
"initializer_range": 0.1})";

class Generation : public testing::Test {
  protected:
    Generation() {
        fs::create_directories(path("model"));
        write("model/tokenizer.json", kTokenizer);
        write("model/tokenizer_config.json", R"({"eos_token": "</s>"})");
        write("model/config.json", kModel);
    }
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    std::string write(std::string const& name, std::string const& text) const {
        cluster::write_file(path(name), text);
        return path(name);
    }
    Outcome prepare(std::vector<std::string> const& more, char const* out = "data") const {
        std::vector<std::string> all{"prepare",     "--task",       "generation", "--tokenizer",
                                     path("model"), "--output",     path(out),    "--prompt",
                                     "q",           "--completion", "a",          "--train"};
        all.insert(all.end(), more.begin(), more.end());
        return run_command(trireme(0, all));
    }
    void expect_refused(Outcome const& result, std::string const& part) const {
        EXPECT_EQ(result.exit_code, 2) << result.output;
        EXPECT_NE(result.output.find(part), std::string::npos) << result.output;
        EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
    }
    TemporaryFolder folder_;
};

} // namespace trireme::test
