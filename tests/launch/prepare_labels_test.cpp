// `trireme prepare` and the labels of rows: which are missing, which are one, which order they
// have.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "data/loader.hpp"
#include "tests/launch/columns_but_for_lines.hpp"
#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

TEST_F(Prepare, ARowOfBlanksIsDroppedWithoutAskingForItsLabel) {
    auto const result = prepare({"--task", "classification", "--label", "label", "--train",
                                 file("r.csv", "text,label\ngood,yes\nbad,no\n,\n\xc2\xa0,\n")});
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_TRUE(has(result.output, "4 rows read; 2 without text dropped")) << result.output;
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
