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

TEST_F(Prepare, ARowOfBlanksIsDroppedWithoutAskingForItsLabel) {
    auto const result = prepare({"--task", "classification", "--label", "label", "--train",
                                 file("r.csv", "text,label\ngood,yes\nbad,no\n,\n\xc2\xa0,\n")});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(has(result.output, "4 rows read; 2 without text dropped")) << result.output;
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

TEST_F(Prepare, ARowWithoutALabelIsRefusedOrLeftOutAndCounted) {
    for (auto const& [name, text] :
         {std::pair{"rows.csv", "text,label\na,yes\nfilm,\nbad,no\nplot, \n"},
          {"rows.jsonl", "{\"text\": \"a\", \"label\": \"yes\"}\n"
                         "{\"text\": \"film\", \"label\": null}\n"
                         "{\"text\": \"bad\", \"label\": \"no\"}\n"
                         "{\"text\": \"plot\", \"label\": \" \"}\n"}}) {
        std::vector<std::string> arguments{"--task", "classification", "--label",
                                           "label",  "--train",        file(name, text)};
        auto const refused = prepare(arguments);
        EXPECT_EQ(refused.exit_code, 2);
        EXPECT_TRUE(has(refused.output, std::string(name) + (name[5] == 'c' ? ":3" : ":2") +
                                            ": label: no label; legal:"))
            << refused.output;
        arguments.emplace_back("--drop-unlabelled");
        auto const* const data = name[5] == 'c' ? "csv" : "jsonl";
        auto const dropped = prepare(arguments, data);
        ASSERT_EQ(dropped.exit_code, 0) << dropped.output;
        EXPECT_TRUE(has(dropped.output, "2 rows without a label left out")) << dropped.output;
        EXPECT_EQ(data::open_dataset(out(data), "train")->label_names(),
                  (std::vector<std::string>{"no", "yes"}));
    }
}

TEST_F(Prepare, SpellingsOfOneClassAreNotTwoClasses) {
    auto const refusal = [&](std::string const& rows) {
        auto const result = prepare(
            {"--task", "classification", "--label", "label", "--train", file("r.csv", rows)});
        EXPECT_EQ(result.exit_code, 2) << result.output;
        return result.output;
    };
    EXPECT_TRUE(has(refusal("text,label\na,yes\nb,no\nc, yes\n"),
                    "\"yes\" and \" yes\" (" + folder_.path() +
                        "/r.csv:4) differ by blanks, marks of no width or Unicode's form only"));
    for (char const* rows :
         {"text,label\na,yes\nb,no\nc,yes\xc2\xa0\n", "text,label\na,so so\nb,no\nc,so  so\n",
          "text,label\na,caf\xc3\xa9\nb,no\nc,cafe\xcc\x81\n",
          "text,label\na,yes\nb,no\nc,yes\xe2\x80\x8b\n"})
        EXPECT_TRUE(
            has(refusal(rows), "differ by blanks, marks of no width or Unicode's form only"))
            << rows;
    EXPECT_TRUE(has(refusal("text,label\na,yes\nb,no\nc,\"\"\"yes\"\"\"\n"),
                    "differ by quotation marks only"));
    for (char const* rows : {"text,label\na,1\nb,0\nc,1.0\n", "text,label\na,1\nb,0\nc,+1\n",
                             "text,label\na,1\nb,0\nc,-0\n"})
        EXPECT_TRUE(has(refusal(rows), "differ as spellings of one number only")) << rows;
    EXPECT_TRUE(has(refusal("text,label\na, \"yes\"\nb, \"no\"\n"),
                    "r.csv:3: label: [ \"no\"]: after a blank, a quotation mark of a .csv is a "
                    "character of the name"));
    auto const told = prepare({"--task", "classification", "--label", "label", "--train",
                               file("case.csv", "text,label\na,Yes\nb,yes\nc,NA\n")});
    ASSERT_EQ(told.exit_code, 0) << told.output;
    EXPECT_TRUE(has(told.output, "\"Yes\" and \"yes\" differ in case only and are two classes"))
        << told.output;
    EXPECT_TRUE(has(told.output, "\"NA\" is taken as the name of a class")) << told.output;
}

TEST_F(Prepare, NamesOfClassesAreTakenAsTheyStand) {
    auto const rows = [&](std::string const& name, std::string const& text) {
        return prepare(
            {"--task", "classification", "--label", "label", "--train", file(name + ".csv", text)},
            name.c_str());
    };
    auto const numbers = rows("numbers", "text,label\na,9007199254740992\nb,9007199254740993\n");
    EXPECT_EQ(numbers.exit_code, 0) << "identifiers that one double stands for: " << numbers.output;
    auto const blanks = rows("blanks", "text,label\n \"a\", yes\n \"b\", no\n");
    ASSERT_EQ(blanks.exit_code, 0) << blanks.output;
    EXPECT_TRUE(has(blanks.output, "note: \" no\" begins or ends with a blank")) << blanks.output;
    EXPECT_TRUE(
        has(blanks.output, "note: 2 texts of .csv files begin with a blank and a quotation mark"))
        << blanks.output;
}

/// Spreadsheets leave columns without a name at the right, and lines of blanks at the end.
/// The number stands for "no label" in data sets whose classes count from 0, and for an answer of
/// its own beside 1.
TEST_F(Prepare, ALabelOfMinusOneIsToldOf) {
    auto const told = [&](std::string const& rows, char const* name) {
        auto const result = prepare({"--task", "classification", "--label", "label", "--train",
                                     file("rows.csv", "text,label\n" + rows)},
                                    name);
        EXPECT_EQ(result.exit_code, 0) << result.output;
        return has(result.output, "\"-1\" is taken as the name of a class; where it stands for a "
                                  "missing label");
    };
    EXPECT_TRUE(told("a,0\nb,1\nc,-1\n", "a"));
    EXPECT_FALSE(told("a,1\nb,-1\n", "b"));
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

TEST_F(Prepare, StratifiedSplitsKeepARareClassInTraining) {
    std::string text = "text,label\n";
    for (int i = 0; i < 300; ++i)
        text += std::string(i % 2 ? "Film " : "FILM ") + std::to_string(i / 2) +
                (i / 2 % 10 ? ",common\n" : ",rare\n");
    std::string const rows = file("r.csv", text + "alone,single\n");
    std::vector<std::string> const arguments{"--task",  "classification", "--input",   rows,
                                             "--label", "label",          "--stratify"};
    auto const result = prepare(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.output;
    auto const manifest = nlohmann::json::parse(cluster::read_file(out() + "/manifest.json"));
    auto const counts = [&](char const* split) {
        return manifest.at("splits").at(split).at("label_counts").get<std::vector<int>>();
    };
    // 135 texts of one class and 15 of the other, in two spellings each: a tenth, rounded, for
    // either.
    EXPECT_EQ(counts("test"), (std::vector<int>{26, 2, 0}));
    EXPECT_EQ(counts("validation"), (std::vector<int>{28, 4, 0}));
    EXPECT_EQ(counts("train"), (std::vector<int>{216, 24, 1}));
    auto seeded = arguments;
    seeded.insert(seeded.end(), {"--split-seed", "7"});
    ASSERT_EQ(prepare(seeded, "seeded").exit_code, 0);
    EXPECT_NE(cluster::xxh3_of_file(out() + "/test-00000.h5"),
              cluster::xxh3_of_file(out("seeded") + "/test-00000.h5"));
}

TEST_F(Prepare, AnOrderOfLabelsCanBeGiven) {
    std::string const rows = file("r.csv", "text,label\na,x\nb,y\nc,z\n");
    std::vector<std::string> arguments{"--task", "classification", "--label", "label", "--train",
                                       rows,     "--labels"};
    auto given = arguments;
    given.insert(given.end(), {"z", "x", "y"});
    ASSERT_EQ(prepare(given).exit_code, 0);
    EXPECT_EQ(data::open_dataset(out(), "train")->label_names(),
              (std::vector<std::string>{"z", "x", "y"}));
    given.pop_back();
    auto const refused = prepare(given, "refused");
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_TRUE(has(refused.output,
                    "--labels: z, x: legal: the labels of the training split, each once: x, y, z"));
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

TEST_F(Prepare, ManyLabelsTakeNoQuadraticTime) {
    std::string text = "text,label\n";
    for (int i = 0; i < 100'000; ++i) text += "film," + std::to_string(i) + "\n";
    auto const start = std::chrono::steady_clock::now();
    auto const result =
        prepare({"--task", "classification", "--train", file("r.csv", text), "--label", "label"});
    std::chrono::duration<double> const spent = std::chrono::steady_clock::now() - start;
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(
        has(result.output,
            "100000 classes in 100000 rows: is the column with the classes the right one?"));
    EXPECT_LT(spent.count(), 60)
        << "of 3 s as measured; 19 s and more when each label was looked for in a list";
    EXPECT_LT(result.output.size(), 4000U);
}

} // namespace
} // namespace trireme::test
