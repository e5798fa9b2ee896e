// `trireme prepare` and `inspect` as a user runs them: what becomes of the rows of a file.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "tests/launch/columns_but_for_lines.hpp"
#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

constexpr char const* kRows = R"({"text": "the film is good", "label": "yes"}
{"text": "THE FILM is good", "label": "yes"}
{"text": "a very bad plot", "label": "no"}

{"text": "not a great film", "label": "no"}
{"text": "great actors", "label": "yes"}
)";

TEST_F(Prepare, TwoRunsGiveTheSameBytes) {
    std::string const rows = file("rows.jsonl", kRows);
    std::vector<std::string> const arguments{"--task", "classification", "--train",
                                             rows,     "--label",        "label"};
    ASSERT_EQ(prepare(arguments, "a").exit_code, 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    ASSERT_EQ(prepare(arguments, "b").exit_code, 0);
    for (std::string const name : {"manifest.json", "train-00000.h5"})
        EXPECT_EQ(cluster::read_file(out("a") + "/" + name),
                  cluster::read_file(out("b") + "/" + name))
            << name;
}

TEST_F(Prepare, CsvTsvAndJsonlGiveTheSameSamples) {
    std::string const json = file("rows.jsonl", R"({"text": "good, very good", "label": 1})"
                                                "\n"
                                                R"({"text": "a \"bad\" film", "label": 0})"
                                                "\n");
    std::string const csv =
        file("rows.csv", "label,text\n1,\"good, very good\"\n0,\"a \"\"bad\"\" film\"\n");
    std::string const tsv =
        file("rows.tsv", "text\tlabel\ngood, very good\t1\na \"bad\" film\t0\n");
    for (auto const& [name, path] : {std::pair{"j", json}, {"c", csv}, {"t", tsv}}) {
        auto const result =
            prepare({"--task", "classification", "--train", path, "--label", "label"}, name);
        ASSERT_EQ(result.exit_code, 0) << result.output;
    }
    auto const columns = [&](char const* name) { return columns_but_for_lines(out(name)); };
    EXPECT_EQ(columns("j").size(), 5U);
    EXPECT_TRUE(columns("j") == columns("c") && columns("j") == columns("t"));
    EXPECT_EQ(data::open_dataset(out("j"), "train")->source(1), json + ":2");
    EXPECT_EQ(data::open_dataset(out("c"), "train")->source(1), csv + ":3");
    EXPECT_EQ(data::open_dataset(out("j"), "train")->label_names(),
              (std::vector<std::string>{"0", "1"}));
}

TEST_F(Prepare, EverySampleSaysWhichRowItIs) {
    std::string const first = file("rows.jsonl", kRows),
                      second = file("more.csv", "text,label\n\"two\nlines\",no\nlast,yes\n");
    auto const made = prepare({"--task", "classification", "--train", first, "--train", second,
                               "--label", "label", "--samples-per-shard", "4"});
    ASSERT_EQ(made.exit_code, 0) << made.output;
    auto const set = data::open_dataset(out(), "train");
    std::vector<std::string> sources;
    for (std::int64_t i = 0; i < set->size(); ++i) sources.push_back(set->source(i));
    EXPECT_EQ(sources,
              (std::vector<std::string>{first + ":1", first + ":2", first + ":3", first + ":5",
                                        first + ":6", second + ":2", second + ":4"}));
}

TEST_F(Prepare, TokensAreThoseOfTheTokenizerWithoutItsPadding) {
    std::string const rows = file("rows.jsonl", kRows);
    ASSERT_EQ(prepare({"--task", "classification", "--train", rows, "--label", "label"}).exit_code,
              0);
    auto const micro_batch = data::open_dataset(out(), "train")->read({0}, 1);
    EXPECT_EQ(micro_batch.tokens, (std::vector<std::int32_t>{2, 4, 5, 6, 7, 3}));
    EXPECT_EQ(micro_batch.columns.labels_of(data::kClassLabel), (std::vector<std::int32_t>{1}))
        << "no, yes: alphabetical";
}

TEST_F(Prepare, LanguageModelingDividesLongTextsAndKeepsEveryLabel) {
    std::string const rows =
        file("rows.jsonl", R"({"text": "the film is good bad very not a great"})"
                           "\n");
    ASSERT_EQ(
        prepare({"--task", "language-modeling", "--train", rows, "--max-length", "4"}).exit_code,
        0);
    auto const set = data::open_dataset(out(), "train");
    ASSERT_EQ(set->size(), 3);
    auto const micro_batch = set->read({0, 1, 2}, 1);
    EXPECT_EQ(micro_batch.tokens, (std::vector<std::int32_t>{2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 3}));
    EXPECT_EQ(micro_batch.columns.labels_of(data::kTokenLabels),
              (std::vector<std::int32_t>{4, 5, 6, 7, 8, 9, 10, 11, 12, 3, -100}))
        << "also across the edge of a window";
}

TEST_F(Prepare, NoTextIsInTwoSplits) {
    std::string text;
    for (int i = 0; i < 400; ++i)
        text += R"({"text": ")" + std::string(i % 2 ? "Film " : "FILM ") + std::to_string(i / 2) +
                R"(", "label": ")" + std::string(i % 3 ? "a" : "b") + "\"}\n";
    ASSERT_EQ(prepare({"--task", "classification", "--input", file("rows.jsonl", text), "--label",
                       "label"})
                  .exit_code,
              0);
    auto const manifest = nlohmann::json::parse(cluster::read_file(out() + "/manifest.json"));
    std::int64_t samples = 0;
    for (auto const& [name, split] : manifest.at("splits").items()) {
        EXPECT_EQ(split.at("samples").get<int>() % 2, 0)
            << name << ": both spellings of a text belong together";
        samples += split.at("samples").get<std::int64_t>();
    }
    EXPECT_EQ(samples, 400);
    EXPECT_NEAR(manifest.at("splits").at("test").at("samples").get<double>(), 40, 30);
}

TEST_F(Prepare, InspectShowsTokensAndLabels) {
    std::string const rows = file("rows.jsonl", kRows);
    ASSERT_EQ(prepare({"--task", "classification", "--train", rows, "--label", "label"}).exit_code,
              0);
    Outcome const plain = run_command(trireme(0, {"inspect", out(), "--samples", "1"}));
    EXPECT_EQ(plain.output,
              "train 0  6 tokens  label yes  " + rows + ":1\n  [CLS]|the|film|is|good|[SEP]\n");
    Outcome const coloured =
        run_command(trireme(0, {"inspect", out(), "--samples", "1", "--color", "always"}));
    EXPECT_NE(coloured.output.find("\x1b[48;2;"), std::string::npos);
}

/// Tokens of two tokenizers that write a space as Ġ, in bytes, and as ▁, in pieces.
TEST_F(Prepare, InspectShowsTheTextOfTokensOfBytesAndOfPieces) {
    auto const shown = [&](char const* name, std::string const& body) {
        std::filesystem::create_directories(out(name));
        file(std::string(name) + "/tokenizer.json",
             R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
                 "normalizer": null, "post_processor": null, )" +
                 body + "}");
        std::string const rows = file("rows.jsonl", "{\"text\": \"a film\\n\u00e9\"}\n"),
                          data = out(name) + "-data";
        Outcome const made =
            run_command(trireme(0, {"prepare", "--task", "language-modeling", "--tokenizer",
                                    out(name), "--train", rows, "--output", data}));
        EXPECT_EQ(made.exit_code, 0) << made.output;
        return run_command(trireme(0, {"inspect", data})).output;
    };
    std::string const bytes = shown("bytes", R"("pre_tokenizer": {"type": "ByteLevel",
        "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
        "use_regex": true}, "model": {"type": "BPE", "dropout": null, "unk_token": null,
        "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
        "byte_fallback": false, "vocab": {"a": 0, "\u0120": 1, "f": 2, "i": 3, "l": 4, "m": 5,
        "\u010a": 6, "\u00c3": 7, "\u00a9": 8, "\u0120f": 9, "\u0120fi": 10, "\u0120fil": 11,
        "\u0120film": 12}, "merges": ["\u0120 f", "\u0120f i", "\u0120fi l", "\u0120fil m"]})");
    EXPECT_TRUE(has(bytes, "a| film|\\n|\\xc3|\\xa9")) << bytes;
    std::string const pieces = shown("pieces", R"("pre_tokenizer": {"type": "Metaspace",
        "replacement": "\u2581", "prepend_scheme": "always", "split": true},
        "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
        "split": true}, "model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", -9], ["\u2581a", -1],
        ["\u2581film", -1], ["\n", -1], ["\u00e9", -1]]})");
    EXPECT_TRUE(has(pieces, " a| film|\\n|\u00e9")) << pieces;
}

/// Samples of a split, as texts of their tokens.
std::int64_t samples(std::string const& data, std::string const& split) {
    return data::open_dataset(data, split)->size();
}

TEST_F(Prepare, AQuotationMarkIsTextInATsv) {
    std::string const rows =
        file("rows.tsv", "text\tlabel\n\"the film\tyes\nis good\tno\n5\" wide\tyes\n");
    auto const result = prepare({"--task", "classification", "--train", rows, "--label", "label"});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(samples(out(), "train"), 3);
    auto const quoted = prepare({"--task", "classification", "--label", "label", "--train",
                                 file("quoted.tsv", "\"text\"\t\"label\"\n\"a\"\t\"b\"\n")},
                                "quoted");
    EXPECT_EQ(quoted.exit_code, 2);
    EXPECT_TRUE(has(quoted.output,
                    "quoted.tsv:1: column \"text\": in a .tsv a quotation mark is a character"))
        << quoted.output;
}

TEST_F(Prepare, ATsvThatLooksQuotedIsToldOf) {
    auto const result =
        prepare({"--task", "classification", "--label", "label", "--train",
                 file("rows.tsv", "text\tlabel\n\"good\"\tyes\n\"bad\"\tno\nfilm\tno\n")});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(
        has(result.output, "note: 2 texts of .tsv files begin and end with a quotation mark"))
        << result.output;
}

TEST_F(Prepare, ADocumentMayBeOneCell) {
    std::string document;
    while (document.size() < 400'000) document += "the film is good ";
    for (auto const& [name, text] :
         {std::pair{"long.csv", "text,label\n\"" + document + "\",yes\nbad,no\n"},
          {"long.tsv", "text\tlabel\n" + document + "\tyes\nbad\tno\n"}}) {
        auto const result = prepare({"--task", "classification", "--label", "label", "--max-length",
                                     "64", "--train", file(name, text)},
                                    name[5] == 'c' ? "csv" : "tsv");
        ASSERT_EQ(result.exit_code, 0) << result.output;
        EXPECT_TRUE(
            has(result.output, "2 rows read; 0 without text dropped; 1 longer than 64 tokens cut"))
            << result.output;
    }
}

TEST_F(Prepare, TheKindOfAFileMayStandInCapitals) {
    auto const result = prepare({"--task", "classification", "--label", "label", "--train",
                                 file("ROWS.CSV", "text,label\ngood,x\nbad,y\n")});
    EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST_F(Prepare, WhatNobodyReadsOfATableIsNoMistake) {
    auto const result =
        prepare({"--task", "classification", "--label", "label", "--train",
                 file("r.csv", "text,label,,,x,x\na,yes,,,1,2\n  \nb,no,,,3,4\n\n")});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(has(result.output, "2 rows read")) << result.output;
}

TEST_F(Prepare, UnknownWordsAreCountedAndShown) {
    auto const result = prepare({"--task", "classification", "--label", "label", "--train",
                                 file("r.csv", "text,label\nthe zebra film,a\nzebra ostrich,b\n")});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(has(result.output, "3 of 9 tokens (33.33 %) are [UNK]")) << result.output;
    EXPECT_TRUE(has(result.output, "\"zebra\" (2), \"ostrich\" (1)")) << result.output;
    auto const manifest = nlohmann::json::parse(cluster::read_file(out() + "/manifest.json"));
    EXPECT_EQ(manifest.at("summary").at("unknown_tokens"), 3);
}

TEST_F(Prepare, AnotherPythonsVariablesDoNotReachIt) {
    std::filesystem::create_directories(out("other") + "/tokenizers");
    std::ofstream(out("other") + "/tokenizers/__init__.py")
        << "raise ImportError('of another Python')\n";
    std::string const rows = file("rows.jsonl", kRows);
    auto command = trireme(0, {"prepare", "--tokenizer", kTokenizer, "--output", out(), "--task",
                               "classification", "--train", rows, "--label", "label"});
    command.insert(command.begin(), {"env", "PYTHONPATH=" + out("other"), "PYTHONHOME=/nowhere"});
    auto const result = run_command(command);
    EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST_F(Prepare, ANameThatIsNotUtf8IsAName) {
    std::string const rows = file("r\xff.csv", "text,label\na,x\nb,y\n");
    auto const result = prepare({"--task", "classification", "--train", rows, "--label", "label"});
    EXPECT_EQ(result.exit_code, 0) << result.output;
}

} // namespace
} // namespace trireme::test
