// Damaged texts, tokenizers and requests for the text tool: an InputError, or what was read, and
// never a crash or an exception of Python.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cluster/file.hpp"
#include "launch/text/inspect.hpp"
#include "launch/text/interpreter.hpp"
#include "launch/text/prepare.hpp"
#include "launch/text/serve.hpp"
#include "launch/text/tasks/answers.hpp"
#include "launch/text/tasks/conll.hpp"
#include "launch/text/tokenizer.hpp"
#include "launch/text/tokenizer_config.hpp"
#include "launch/text/unicode.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::launch::text {
namespace {

using test::fuzz;
using test::fuzz_json;
using test::put;

std::string const kWords =
    cluster::read_file(std::string(TRIREME_GOLDEN) + "/tokenizer/tokenizer.json");

/// A tokenizer like that of GPT-2 and Llama 3: merges over bytes, and a token in front.
std::string const kBytes =
    R"({"version": "1.0", "truncation": {"direction": "Right", "max_length": 8,
"strategy": "LongestFirst", "stride": 2}, "padding": null, "added_tokens": [{"id": 5, "content": "<s>",
"single_word": false, "lstrip": false, "rstrip": true, "normalized": false, "special": true}],
"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]},
"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
{"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
"decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
"model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
"vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}, "merges": [["a", "b"], ["ab", "c"]]}})";

/// A tokenizer like that of T5 and SentencePiece: pieces with their log-probabilities.
std::string const kPieces =
    R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [{"id": 1,
"content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
"normalizer": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
"pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true},
"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
{"SpecialToken": {"id": "</s>", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
{"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
"special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
"decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true},
"model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false,
"vocab": [["<unk>", 0.0], ["</s>", 0.0], ["\u2581ab", -2.5], ["\u2581a", -2.0], ["b", -3.0], ["c", -3.5]]}})";

std::string const kJsonl = R"({"text": "the film is good", "pair": "a", "label": "yes"}
{"text": "a very bad plot", "pair": "b \u00e9", "label": 1, "id": [1, {"x": null}]}

{"text": "great actors", "pair": "c", "label": true}
)";
std::string const kCsv = "text,pair,label\r\nthe film,a,yes\r\n\"a \"\"bad\"\" plot,\nbut long\",b "
                         "\xc3\xa9,no\r\n\r\ngreat,c,1\r\n";
std::string const kTsv =
    "text\tpair\tlabel\nthe \"film\ta\tyes\na bad plot\tb \xc3\xa9\tno\ngreat\tc\t1\n";

class TextFuzz : public testing::Test {
  protected:
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }

    void rows(std::string const& name, std::string const& good) const {
        fuzz(good, [&](std::string const& text) {
            put(path(name), text);
            read_rows(
                path(name), {.text = "text", .pair = "pair", .values = {"label"}}, [&](Row&& row) {
                    EXPECT_GE(row.line, 1);
                    lower(row.text + row.pair + row.values.at(0)); // throws for what is not UTF-8
                });
        });
    }
    /// All that prepare, inspect and generate ask a tokenizer.
    void use_tokenizer() const {
        Tokenizer const tokenizer(folder_.path(), 16);
        check_tokenizer_config(folder_.path(), tokenizer);
        EXPECT_LT(end_of_text(folder_.path(), tokenizer), tokenizer.vocabulary());
        std::vector<std::string> const texts{"the Film  abc<s> \xc3\xa9", "b", ""};
        for (auto const& encoding : tokenizer.encode(texts, {texts[1], texts[2], texts[0]}))
            EXPECT_EQ(encoding.tokens.size(), encoding.segments.size());
        tokenizer.decode(tokenizer.encode_prompts(texts));
        for (auto const& text : tokenizer.encode_prompted(texts, {texts[1], texts[2], texts[0]}))
            for (auto const id : text.completion) tokenizer.token(id);
        for (auto const& text : tokenizer.encode_windows(texts, {}, 16, 2))
            EXPECT_FALSE(text.windows.empty());
        for (auto const& words : tokenizer.encode_words({{"ab", "Film<s>", ""}, {}}))
            EXPECT_EQ(words.tokens.size(), words.words.size());
    }
    void tokenizer(std::string const& good) const {
        fuzz_json(good, [&](std::string const& text) {
            put(path("tokenizer.json"), text);
            use_tokenizer();
        });
    }
    void beside_tokenizer(std::string const& name, std::string const& good) const {
        put(path("tokenizer.json"), kBytes);
        fuzz_json(good, [&](std::string const& text) {
            put(path(name), text);
            use_tokenizer();
        });
    }
    /// Takes a file of rows to the samples that `inspect` shows.
    void prepare_and_inspect(PrepareOptions options, std::string const& good,
                             std::string const& name = "rows.csv") const {
        put(path("tokenizer.json"), kWords);
        options.tokenizer = folder_.path();
        options.output = path("data");
        options.files["train"] = {path(name)};
        options.max_length = 12;
        fuzz(
            good,
            [&](std::string const& text) {
                std::filesystem::remove_all(path("data"));
                put(path(name), text);
                prepare(options);
                EXPECT_FALSE(
                    inspect({.data = path("data"), .split = "train", .samples = 9}).empty());
            },
            test::FuzzLimits::asked().part(20));
    }
    test::TemporaryFolder folder_;
};

TEST_F(TextFuzz, RowsOfJsonl) {
    rows("rows.jsonl", kJsonl);
}
TEST_F(TextFuzz, RowsOfCsv) {
    rows("rows.csv", kCsv);
}
TEST_F(TextFuzz, RowsOfTsv) {
    rows("rows.tsv", kTsv);
}
TEST_F(TextFuzz, TokenizerOfWords) {
    tokenizer(kWords);
}
TEST_F(TextFuzz, TokenizerOfBytes) {
    tokenizer(kBytes);
}
TEST_F(TextFuzz, TokenizerOfPieces) {
    tokenizer(kPieces);
}
TEST_F(TextFuzz, TokenizerConfig) {
    beside_tokenizer(
        "tokenizer_config.json",
        R"({"add_bos_token": true, "add_prefix_space": false, "bos_token": {"content": "<s>"},
"eos_token": "abc", "do_lower_case": true, "model_max_length": 1000000000000000019884624838656,
"added_tokens_decoder": {"5": {"content": "<s>", "lstrip": false, "special": true}}, "unk_token": null})");
}
TEST_F(TextFuzz, StopTokens) {
    beside_tokenizer("generation_config.json",
                     R"({"eos_token_id": [4, 2], "bos_token_id": 5, "top_p": 0.9})");
    std::filesystem::remove(path("generation_config.json"));
    beside_tokenizer("config.json",
                     R"({"eos_token_id": 4, "vocab_size": 6, "id2label": {"0": "a", "1": "b"}})");
    std::filesystem::remove(path("config.json"));
    beside_tokenizer("special_tokens_map.json",
                     R"({"eos_token": {"content": "abc"}, "additional": ["<s>"]})");
}

TEST_F(TextFuzz, RowsToSamples) {
    using data::TaskKind;
    prepare_and_inspect(
        {.task = TaskKind::classification, .own = {{"pair", {"pair"}}, {"label", {"label"}}}},
        kCsv);
    prepare_and_inspect(
        {.task = TaskKind::generation,
         .own = {{"prompt", {"text"}}, {"completion", {"pair"}}, {"stop", {"[SEP]"}}}},
        kCsv);
    prepare_and_inspect({.task = TaskKind::language_modeling}, kCsv);
}
TEST_F(TextFuzz, RowsOfTasks) {
    using data::TaskKind;
    prepare_and_inspect({.task = TaskKind::multi_label, .own = {{"label", {"l"}}}},
                        R"({"text": "the film", "l": ["a", 2]}
{"text": "bad", "l": []}
)",
                        "rows.jsonl");
    PrepareOptions const words{.task = TaskKind::token_classification, .own = {{"windows", {"2"}}}};
    prepare_and_inspect(words, R"({"tokens": ["the", "film"], "tags": ["B-X", "I-X"]}
)",
                        "words.jsonl");
    prepare_and_inspect(words, "# id 1\nthe DT B-X\nfilm NN I-X\n\nbad JJ O\n", "rows.conll");
    PrepareOptions const questions{.task = TaskKind::question_answering};
    prepare_and_inspect(
        questions,
        R"({"question": "who", "context": "the f\u00e9lm is", "answers": {"text": ["is"], "answer_start": [9]}, "id": 1}
)",
        "answers.jsonl");
    prepare_and_inspect(questions,
                        R"({"data": [{"paragraphs": [{"context": "the film is", "qas": [
{"question": "who", "id": "a", "answers": [{"text": "is", "answer_start": 9}]},
{"question": "what", "is_impossible": true}]}]}]})",
                        "rows.json");
}

/// Refuses what is not a file of its kind before reading it, as tests/fuzz/opening_test.cpp shows
/// for the other readers.
TEST_F(TextFuzz, WhatIsNoFileIsRefusedBeforeItIsRead) {
    put(path("tokenizer.json"), kBytes);
    auto const rows_of = [&](char const* name) {
        return [this, name] { read_rows(path(name), {.text = "text"}, [](Row&&) {}); };
    };
    std::map<std::string, std::function<void()>> const readers{
        {"r.jsonl", rows_of("r.jsonl")},
        {"r.csv", rows_of("r.csv")},
        {"r.tsv", rows_of("r.tsv")},
        {"r.conll", [&] { read_conll(path("r.conll"), [](Row&&) {}); }},
        {"r.json", [&] { read_squad(path("r.json"), [](Row&&) {}); }},
        {"tokenizer_config.json", [&] { use_tokenizer(); }},
        {"special_tokens_map.json", [&] { use_tokenizer(); }},
        {"generation_config.json", [&] { use_tokenizer(); }},
        {"tokenizer.json", [&] { use_tokenizer(); }}};
    std::map<std::string, std::function<void(std::string const&)>> const things{
        {"folder", [](std::string const& file) { std::filesystem::create_directory(file); }},
        {"pipe", [](std::string const& file) { ASSERT_EQ(mkfifo(file.c_str(), 0600), 0); }},
        {"device",
         [](std::string const& file) { std::filesystem::create_symlink("/dev/zero", file); }},
        {"pointer of Git LFS",
         [](std::string const& file) {
             put(file, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n");
         }},
        {"terabyte of nothing", [](std::string const& file) {
             put(file, "");
             std::filesystem::resize_file(file, std::uintmax_t{1} << 40);
         }}};
    for (auto const& [file, read] : readers)
        for (auto const& [thing, make] : things) {
            std::filesystem::remove(path(file));
            make(path(file));
            alarm(60); // a pipe is waited for for ever
            try {
                read();
                ADD_FAILURE() << "a " << thing << " was read as " << file;
            } catch (cluster::InputError const& error) {
                EXPECT_NE(cluster::line_of(error).find(path(file)), std::string::npos)
                    << error.what();
            }
            std::filesystem::remove(path(file));
            put(path("tokenizer.json"), kBytes);
        }
    alarm(0);
}

/// `trireme generate` and `trireme predict` ask line by line: each line has an answer, whatever it
/// asks.
TEST_F(TextFuzz, RequestsOfOtherCommands) {
    put(path("tokenizer.json"), kBytes);
    put(path("rows.csv"), "text,pair\nab c,c\n,\nabc,ab\n");
    test::fuzz_with(
        test::Mutator(),
        R"({"prompts": ["ab c", "abc"], "completions": [" a", ""]}
{"decode": [[0, 4, 5], []]}
{"score": [["a film", "The film"]]}
{"encode": ["ab c", " "]}
{"length": 4, "task": "classification", "options": {"pair": ["pair"]}}
{"open": ")" +
            path("rows.csv") + R"("}
{"next": 2}
{"length": 4, "task": "token-classification", "options": {"windows": ["1"]}}
{"encode": ["ab c"]}
)",
        [&](std::string const& text) {
            std::istringstream in(text);
            std::ostringstream out;
            serve(folder_.path(), in, out);
            auto const lines = [](std::string const& s) { return std::ranges::count(s, '\n'); };
            EXPECT_EQ(lines(out.str()), 1 + lines(text) + (!text.empty() && text.back() != '\n'))
                << text;
            std::istringstream answers(out.str());
            for (std::string answer; std::getline(answers, answer);)
                for (auto const* kind : {"error", "refused"})
                    if (auto const json = nlohmann::json::parse(answer); json.contains(kind))
                        throw cluster::InputError(json.at(kind).get<std::string>());
        },
        test::FuzzLimits::asked(), "");
}

} // namespace
} // namespace trireme::launch::text

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return trireme::launch::text::with_python([] { return RUN_ALL_TESTS(); });
}
