// Tokenizers whose files contradict each other, are damaged, or meet texts that have their special
// tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

/// A tokenizer of six words that puts <s> in front, as Llama's does, and an end of text beside it.
class TokenizerFolder : public Prepare {
  protected:
    void SetUp() override {
        std::filesystem::create_directory(tokenizer());
        write_tokenizer();
    }
    void write_tokenizer() const {
        write("tokenizer.json",
              R"({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
"added_tokens": [{"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
 "normalized": false, "special": true}, {"id": 2, "content": "</s>", "single_word": false, "lstrip": false,
 "rstrip": false, "normalized": false, "special": true}],
"pre_tokenizer": {"type": "Whitespace"}, "decoder": null,
"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
 {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
 {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
"model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "<s>": 1, "</s>": 2, "good": 3, "bad": 4, "a": 5}}})");
        write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
    }
    std::string tokenizer() const { return out("tokenizer"); }
    void write(std::string const& name, std::string const& text) const {
        cluster::write_file(tokenizer() + "/" + name, text);
    }
    Outcome prepare_with(std::vector<std::string> more, char const* name) const {
        std::vector<std::string> all{"prepare", "--tokenizer", tokenizer(), "--output", out(name)};
        all.insert(all.end(), more.begin(), more.end());
        return run_command(trireme(0, all));
    }
};

TEST_F(TokenizerFolder, SpecialTokensOfTheTextDoNotStandTwice) {
    auto const told = prepare_with(
        {"--task", "language-modeling", "--train",
         file("t.jsonl", "{\"text\": \"<s>good bad</s>\"}\n{\"text\": \"good</s>bad\"}\n")},
        "texts");
    ASSERT_EQ(told.exit_code, 0) << told.output;
    EXPECT_EQ(data::open_dataset(out("texts"), "train")->read({0}, 1).tokens,
              (std::vector<std::int32_t>{1, 3, 4, 2}));
    EXPECT_TRUE(
        has(told.output, "1 text has itself the special tokens that the tokenizer adds (first " +
                             folder_.path() + "/t.jsonl:1): they stand once"))
        << told.output;
    auto const prompted =
        prepare_with({"--task", "generation", "--prompt", "p", "--completion", "c", "--train",
                      file("g.jsonl", "{\"p\": \"<s>good\", \"c\": \" bad</s>\"}\n")},
                     "prompts");
    ASSERT_EQ(prompted.exit_code, 0) << prompted.output;
    auto const micro_batch = data::open_dataset(out("prompts"), "train")->read({0}, 1);
    EXPECT_EQ(micro_batch.tokens, (std::vector<std::int32_t>{1, 3, 4}));
    EXPECT_EQ(micro_batch.columns.labels_of(data::kTokenLabels),
              (std::vector<std::int32_t>{-100, 4, 2}));
}

TEST_F(TokenizerFolder, FilesThatContradictTheTokenizerAreRefused) {
    std::vector<std::string> const arguments{"--task", "language-modeling", "--train",
                                             file("t.jsonl", "{\"text\": \"good\"}\n")};
    auto const refusal = [&](std::string const& name, std::string const& text) {
        write(name, text);
        auto const result = prepare_with(arguments, "refused");
        EXPECT_EQ(result.exit_code, 2) << text << result.output;
        return result.output;
    };
    std::string const config = "tokenizer_config.json";
    EXPECT_TRUE(has(refusal(config, R"({"bos_token": "<s>", "add_bos_token": false})"),
                    "tokenizer_config.json: add_bos_token: false: "));
    EXPECT_TRUE(has(refusal(config, R"({"eos_token": "</s>", "add_eos_token": true})"),
                    "tokenizer_config.json: add_eos_token: true: "));
    EXPECT_TRUE(has(refusal(config, R"({"unk_token": "good"})"),
                    "tokenizer_config.json: unk_token: good: "));
    EXPECT_TRUE(has(refusal(config, R"({"eos_token": "<end>"})"),
                    "eos_token: \"<end>\": no token of the tokenizer.json"));
    std::string const legal = "legal: a token's text, or an object with it as content";
    EXPECT_TRUE(has(refusal(config, R"({"eos_token": {"content": 5}})"),
                    "tokenizer_config.json: eos_token: {\"content\":5}: " + legal));
    EXPECT_TRUE(has(refusal(config, R"({"pad_token": 3})"),
                    "tokenizer_config.json: pad_token: 3: " + legal));
    EXPECT_TRUE(has(refusal(config, R"({"added_tokens_decoder": {"2": ["</s>"]}})"),
                    "tokenizer_config.json: added_tokens_decoder.2: [\"</s>\"]: " + legal));
    EXPECT_TRUE(has(refusal(config, R"({"additional_special_tokens": [7]})"),
                    "additional_special_tokens: 7: " + legal));
    EXPECT_TRUE(has(refusal(config, R"({"bos_token": "<s>", "add_bos_token": "no"})"),
                    "add_bos_token: \"no\": legal: true or false"));
    EXPECT_TRUE(has(refusal(config, R"({"truncation_side": "Left"})"),
                    "truncation_side: \"Left\": legal: \"left\" or \"right\""));
    EXPECT_TRUE(has(refusal(config, R"({"model_max_length": "512"})"),
                    "model_max_length: \"512\": legal: a number"));
    EXPECT_TRUE(has(refusal(config, R"({"added_tokens_decoder": {"2": {"content": "<stop>"}}})"),
                    "added_tokens_decoder.2.content: \"<stop>\": "));
    EXPECT_TRUE(has(refusal(config, R"({"added_tokens_decoder": {"3": {"content": "</s>"}}})"),
                    "added_tokens_decoder.3: 3 for \"</s>\": "));
    EXPECT_TRUE(has(refusal(config, R"({"added_tokens_decoder": {"6": {"content": "<new>"}}})"),
                    "added_tokens_decoder.6: \"<new>\": no token of the tokenizer.json"));
    EXPECT_TRUE(
        has(refusal(config, R"({"pad_token": "<pad>"})"), "pad_token: \"<pad>\": no token of"));
    EXPECT_TRUE(has(refusal(config, R"({"additional_special_tokens": ["<s>", "<u>"]})"),
                    "\"<u>\": no token of"));
    EXPECT_TRUE(
        has(refusal(config, R"({"split_special_tokens": true})"), "split_special_tokens: true: "));
    write(config, R"({"eos_token": "</s>"})");
    EXPECT_TRUE(has(refusal("special_tokens_map.json", R"({"eos_token": {"content": 5}})"),
                    "special_tokens_map.json: eos_token: {\"content\":5}: " + legal));
    EXPECT_TRUE(has(refusal("special_tokens_map.json", R"({"eos_token": "<s>"})"),
                    "special_tokens_map.json says \"<s>\""));
    std::filesystem::remove(tokenizer() + "/special_tokens_map.json");
    EXPECT_TRUE(has(refusal("generation_config.json", R"({"eos_token_id": 1})"),
                    "generation_config.json: eos_token_id: 1: "));
    EXPECT_TRUE(has(refusal("generation_config.json", R"({"eos_token_id": 9223372036854775808})"),
                    "generation_config.json: eos_token_id: 9223372036854775808: legal: a token of "
                    "the tokenizer, 0 to 5"));
    write("generation_config.json", R"({"eos_token_id": [1, 2]})");
    // an older file, which transformers does not ask
    write("config.json", R"({"eos_token_id": 1})");
    auto const agreed = prepare_with(arguments, "agreed");
    EXPECT_EQ(agreed.exit_code, 0) << agreed.output;
}

TEST_F(TokenizerFolder, ATemplateThatStandsInTwoPlacesIsTheSame) {
    std::vector<std::string> const arguments{"--task", "language-modeling", "--train",
                                             file("t.jsonl", "{\"text\": \"good\"}\n")};
    auto const refused = [&](std::string const& place, std::string const& other) {
        auto const result = prepare_with(arguments, "refused");
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_TRUE(has(result.output, tokenizer() + "/" + place) &&
                    has(result.output, "is not that of " + tokenizer() + "/" + other))
            << result.output;
    };
    std::string const config = "tokenizer_config.json", jinja = "chat_template.jinja";
    write(config, R"({"eos_token": "</s>", "chat_template": "{{ a }}"})");
    write(jinja, "{{ b }}");
    refused(jinja + ": the template for chats ", config + ": chat_template, and");
    write(config, R"({"chat_template": [{"name": "default", "template": "{{ b }}"},
                                        {"name": "tool_use", "template": "{{ c }}"}]})");
    std::filesystem::create_directory(tokenizer() + "/additional_chat_templates");
    write("additional_chat_templates/tool_use.jinja", "{{ d }}");
    refused("additional_chat_templates/tool_use.jinja: the template for chats \"tool_use\" ",
            config + ": chat_template, and");
    write("additional_chat_templates/tool_use.jinja", "{{ c }}\n");
    write("chat_template.json", R"({"chat_template": "{{ a }}"})");
    refused("chat_template.json: chat_template: the template for chats ", config);
    std::filesystem::remove(tokenizer() + "/chat_template.json");
    auto const agreed = prepare_with(arguments, "agreed");
    EXPECT_EQ(agreed.exit_code, 0) << agreed.output;
}

/// Generated text ends with the token that texts ended with in training, whatever other task the
/// folder was made for.
TEST_F(TokenizerFolder, ATokenThatEndsTextsGoesIntoTheGenerationOfExports) {
    std::string const texts = file("t.jsonl", "{\"text\": \"good bad\"}\n");
    auto const settings = [&](std::vector<std::string> const& more, char const* name) {
        std::vector<std::string> arguments{"--task", "language-modeling", "--train", texts};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto const result = prepare_with(arguments, name);
        EXPECT_EQ(result.exit_code, 0) << result.output;
        std::string const path = out(name) + "/generation_config.json";
        return std::filesystem::exists(path) ? nlohmann::json::parse(cluster::read_file(path))
                                             : nlohmann::json("none");
    };
    write("config.json", R"({"eos_token_id": 2})");
    EXPECT_EQ(settings({}, "said"), "none") << "the model beside it says so already";
    EXPECT_EQ(settings({"--stop", "bad"}, "asked"), (nlohmann::json{{"eos_token_id", 4}}));
    write("generation_config.json", R"({"eos_token_id": [1, 2], "top_k": 5})");
    EXPECT_EQ(settings({}, "among"), (nlohmann::json{{"eos_token_id", {1, 2}}, {"top_k", 5}}));
    write("generation_config.json",
          R"({"_from_model_config": true, "eos_token_id": 2, "top_k": 5})");
    EXPECT_EQ(settings({"--stop", "bad"}, "other"),
              (nlohmann::json{{"eos_token_id", 4}, {"top_k", 5}}));
}

TEST_F(TokenizerFolder, StopTokensThatHaveNoneInCommonAreToldOf) {
    std::vector<std::string> const arguments{"--task", "language-modeling", "--train",
                                             file("t.jsonl", "{\"text\": \"good\"}\n")};
    auto const told = [&](std::string const& model, char const* name) {
        write("generation_config.json", R"({"eos_token_id": [2, 4]})");
        write("config.json", model);
        auto const result = prepare_with(arguments, name);
        EXPECT_EQ(result.exit_code, 0) << result.output;
        return has(result.output, "note: " + tokenizer() +
                                      "/config.json: eos_token_id: 1: what is generated ends with "
                                      "2, 4 all the same");
    };
    EXPECT_TRUE(told(R"({"eos_token_id": 1})", "a"));
    EXPECT_FALSE(told(R"({"eos_token_id": [1, 4]})", "b"));
    EXPECT_FALSE(told(R"({"eos_token_id": null})", "c"));
}

TEST_F(TokenizerFolder, TheLengthOfTheTokenizerIsTheDefaultAndALongerOneIsToldOf) {
    write("tokenizer_config.json", R"({"eos_token": "</s>", "model_max_length": 4})");
    std::vector<std::string> arguments{"--task", "language-modeling", "--train",
                                       file("t.jsonl", "{\"text\": \"good bad good bad good\"}\n")};
    ASSERT_EQ(prepare_with(arguments, "short").exit_code, 0);
    EXPECT_EQ(data::read_manifest(out("short")).max_length, 4);
    arguments.insert(arguments.end(), {"--max-length", "6"});
    auto const told = prepare_with(arguments, "long");
    ASSERT_EQ(told.exit_code, 0) << told.output;
    EXPECT_TRUE(has(told.output, "model_max_length: 4 is less than --max-length 6")) << told.output;
}

TEST_F(TokenizerFolder, ALongTextIsCutAtTheSideThatTheTokenizerNames) {
    auto const tokens = [&](char const* name, std::string const& config) {
        write("tokenizer_config.json", config);
        auto const result =
            prepare_with({"--task", "classification", "--label", "label", "--max-length", "3",
                          "--train", file("t.csv", "text,label\ngood bad a,x\nbad,y\n")},
                         name);
        EXPECT_EQ(result.exit_code, 0) << result.output;
        return data::open_dataset(out(name), "train")->read({0}, 1).tokens;
    };
    EXPECT_EQ(tokens("usual", R"({"eos_token": "</s>"})"), (std::vector<std::int32_t>{1, 3, 4}));
    EXPECT_EQ(tokens("left", R"({"truncation_side": "left"})"),
              (std::vector<std::int32_t>{1, 4, 5}));
}

TEST_F(TokenizerFolder, WhatTheLibraryRefusesNamesTheRow) {
    auto text = cluster::read_file(tokenizer() + "/tokenizer.json");
    text.replace(text.find("\"unk_token\": \"?\""), 16, "\"unk_token\": \"!\"");
    write("tokenizer.json", text);
    auto const result =
        prepare_with({"--task", "language-modeling", "--train",
                      file("t.jsonl", "{\"text\": \"good\"}\n{\"text\": \"zebra\"}\n")},
                     "out");
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_TRUE(has(result.output,
                    "t.jsonl:2: cannot be tokenized with " + tokenizer() + "/tokenizer.json: "))
        << result.output;
    EXPECT_FALSE(std::filesystem::exists(out("out")));
}

TEST_F(TokenizerFolder, WhatItsTemplateAddsIsInItsVocabulary) {
    auto const refusal = [&](std::string const& from, std::string const& to) {
        write_tokenizer();
        auto text = cluster::read_file(tokenizer() + "/tokenizer.json");
        text.replace(text.rfind(from), from.size(), to);
        write("tokenizer.json", text);
        auto const result = prepare_with(
            {"--task", "language-modeling", "--train", file("t.jsonl", "{\"text\": \"good\"}\n")},
            "out");
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_EQ(std::ranges::count(result.output, '\n'), 1)
            << "a panic of the library is told once: " << result.output;
        return result.output;
    };
    EXPECT_TRUE(has(refusal("\"ids\": [1]", "\"ids\": [6]"),
                    "tokenizer.json: post_processor: token 6: legal: 0 to 5"));
    EXPECT_TRUE(has(refusal("\"ids\": [1]", "\"ids\": [4294967295]"),
                    "tokenizer.json: a token beyond 2147483647"));
    EXPECT_TRUE(has(refusal("{\"<s>\": {", "{\"<t>\": {"), "tokenizer.json: not a tokenizer: "));
}

TEST_F(TokenizerFolder, UnknownPiecesAreCountedToo) {
    write("tokenizer_config.json", R"({"eos_token": "</s>"})");
    write("tokenizer.json",
          R"({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
"added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
"model": {"type": "Unigram", "unk_id": 1, "byte_fallback": false, "vocab": [["</s>", 0], ["?", 0], ["good", -1]]}})");
    auto const result = prepare_with(
        {"--task", "language-modeling", "--train", file("t.jsonl", "{\"text\": \"good zebra\"}\n")},
        "out");
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(has(result.output,
                    "are ?, which stands for what the tokenizer does not know: \"zebra\" (1)"))
        << result.output;
}

TEST_F(TokenizerFolder, APointerOfGitLfsIsNamed) {
    write("tokenizer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    auto const result = prepare_with(
        {"--task", "language-modeling", "--train", file("t.jsonl", "{\"text\": \"a\"}\n")}, "out");
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_TRUE(
        has(result.output, "tokenizer.json: a pointer of Git LFS in place of the file; legal:"))
        << result.output;
}

} // namespace
} // namespace trireme::test
