// `trireme prepare` and `inspect` of prompts and completions.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "tests/launch/columns_but_for_lines.hpp"
#include "tests/launch/generation_scene.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {
namespace {

constexpr char const* kRows = R"({"q": "cow dog =", "a": " dog cow"}
{"q": "hen =", "a": " hen"}
)";

TEST_F(Generation, TrainsTheCompletionAndItsStopToken) {
    ASSERT_EQ(prepare({write("rows.jsonl", kRows)}).exit_code, 0);
    auto const micro_batch = data::open_dataset(path("data"), "train")->read({0, 1}, 1);
    EXPECT_EQ(micro_batch.tokens, (Tokens{0, 6, 7, 3, 7, 6, 0, 11, 3, 11}));
    EXPECT_EQ(micro_batch.columns.labels_of(data::kTokenLabels),
              (Tokens{-100, -100, -100, 7, 6, 1, -100, -100, 11, 1}));
    auto const config =
        nlohmann::json::parse(cluster::read_file(path("data/generation_config.json")));
    EXPECT_EQ(config.at("eos_token_id"), 1);
}

TEST_F(Generation, CsvTsvAndJsonlGiveTheSameSamples) {
    ASSERT_EQ(prepare({write("rows.jsonl", kRows)}, "j").exit_code, 0);
    ASSERT_EQ(prepare({write("rows.csv", "a,q\n dog cow,cow dog =\n hen,hen =\n")}, "c").exit_code,
              0);
    ASSERT_EQ(
        prepare({write("rows.tsv", "q\ta\ncow dog =\t dog cow\nhen =\t hen\n")}, "t").exit_code, 0);
    auto const columns = [&](char const* name) { return columns_but_for_lines(path(name)); };
    EXPECT_EQ(columns("j").size(), 6U);
    EXPECT_TRUE(columns("j") == columns("c") && columns("j") == columns("t"));
}

TEST_F(Generation, AnotherStopTokenGoesIntoTheDataAndTheirGenerationConfig) {
    write("model/generation_config.json", R"({"eos_token_id": [1, 2], "top_k": 5})");
    std::string const rows = write("rows.jsonl", kRows);
    ASSERT_EQ(prepare({rows, "--stop", "="}).exit_code, 0);
    EXPECT_EQ(data::open_dataset(path("data"), "train")
                  ->read({1}, 1)
                  .columns.labels_of(data::kTokenLabels),
              (Tokens{-100, -100, 11, 3}));
    auto const json = [&](char const* name) {
        return nlohmann::json::parse(cluster::read_file(path(name)));
    };
    EXPECT_EQ(json("data/generation_config.json"),
              (nlohmann::json{{"eos_token_id", 3}, {"top_k", 5}}));
    ASSERT_EQ(prepare({rows}, "own").exit_code, 0);
    EXPECT_EQ(json("own/generation_config.json").at("eos_token_id"), (nlohmann::json{1, 2}))
        << "a list that has the stop token stays";
    ASSERT_EQ(prepare({rows, "--stop", "?"}, "second").exit_code, 0);
    EXPECT_EQ(json("second/generation_config.json").at("eos_token_id"), (nlohmann::json{2, 1}))
        << "references are scored with the first";
    expect_refused(prepare({rows, "--stop", "nope"}, "x"), "--stop: nope: legal: a token of ");
}

TEST_F(Generation, ATokenizerThatNamesNoStopTokenIsRefused) {
    fs::remove(path("model/tokenizer_config.json"));
    std::string const rows = write("rows.jsonl", kRows);
    expect_refused(prepare({rows}), "name the token that ends a completion with --stop");
    EXPECT_EQ(prepare({rows, "--stop", "</s>"}, "named").exit_code, 0);
    write("model/config.json", R"({"eos_token_id": 1})");
    EXPECT_EQ(prepare({rows}, "by-config").exit_code, 0);
    EXPECT_EQ(data::open_dataset(path("by-config"), "train")
                  ->read({1}, 1)
                  .columns.labels_of(data::kTokenLabels),
              (Tokens{-100, -100, 11, 1}));
}

TEST_F(Generation, WhatIsCutIsCountedAndTrainsNoStopToken) {
    std::string const rows = write("rows.jsonl", kRows);
    Outcome const result = prepare({rows, "--max-length", "4"});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_NE(
        result.output.find("1 longer than 4 tokens cut, and trained without their stop token"),
        std::string::npos)
        << result.output;
    auto const micro_batch = data::open_dataset(path("data"), "train")->read({0, 1}, 1);
    EXPECT_EQ(micro_batch.columns.labels_of(data::kTokenLabels),
              (Tokens{-100, -100, -100, 7, -100, -100, 11, 1}));
    expect_refused(prepare({rows, "--max-length", "3"}, "x"),
                   "rows.jsonl:1: q: a prompt of 4 tokens leaves no room for its completion; "
                   "legal: 1 to 3 tokens, "
                   "the --max-length: shorten the prompt, or raise --max-length");
}

TEST_F(Generation, APromptHasTheSameTokensWithoutItsCompletion) {
    std::string const rows = write("rows.jsonl", R"({"q": "cow =do", "a": "g hen"})");
    Outcome const result = prepare({rows});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(data::open_dataset(path("data"), "train")->read({0}, 1).tokens,
              (Tokens{0, 6, 2, 2, 11}));
    EXPECT_NE(result.output.find("1 completion begins inside a token"), std::string::npos)
        << result.output;
}

TEST_F(Generation, InspectShowsPromptAndCompletionApart) {
    std::string const rows = write("rows.jsonl", kRows);
    ASSERT_EQ(prepare({rows}).exit_code, 0);
    Outcome const plain = run_command(trireme(0, {"inspect", path("data"), "--samples", "1"}));
    EXPECT_EQ(plain.output, "train 0  6 tokens  3 of 6 tokens trained  " + rows +
                                ":1\n  <s>|cow|dog|= => dog|cow|</s>\n");
    Outcome const color =
        run_command(trireme(0, {"inspect", path("data"), "--samples", "1", "--color", "always"}));
    EXPECT_NE(color.output.find("\x1b[2m<s>"), std::string::npos) << "prompt: faint";
    EXPECT_NE(color.output.find("\x1b[48;2;"), std::string::npos)
        << "completion: on a ground of colour";
}

TEST_F(Generation, MistakesAreNamed) {
    std::string const rows = write("rows.jsonl", kRows);
    expect_refused(
        run_command(trireme(0, {"prepare", "--task", "generation", "--tokenizer", path("model"),
                                "--output", path("x"), "--train", rows, "--prompt", "q"})),
        "--prompt, --completion: missing");
    expect_refused(run_command(trireme(0, {"prepare", "--task", "language-modeling", "--tokenizer",
                                           path("model"), "--output", path("x"), "--train", rows,
                                           "--prompt", "q"})),
                   "--prompt: legal with --task generation");
    expect_refused(prepare({write("bad.jsonl", R"({"q": "cow"})")}, "x"),
                   "bad.jsonl:1: no field \"a\"; legal: --completion with a field of the line: q");
    EXPECT_FALSE(fs::exists(path("x")));
}

} // namespace
} // namespace trireme::test
