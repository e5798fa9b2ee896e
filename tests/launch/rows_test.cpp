// Columns by path, and values that are more than a text.
#include "launch/text/rows.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "launch/text/field_path.hpp"
#include "launch/text/inputs.hpp"
#include "launch/text/interpreter.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::launch::text {
namespace {

using Json = nlohmann::ordered_json;

Json const kRow = Json::parse(R"({"text": "a", "a.b": "whole", "a": {"b": "inside", "c": [1, 2]},
  "answers": {"text": ["x", "y"]}, "messages": [{"content": "p"}, {"content": "q"}],
  "packed": "{\"k\": [3]}", "bad": "[3", "nothing": null})");

TEST(FieldPath, FindsValues) {
    auto const found = [](char const* path) { return FieldPath(path).find(kRow, "F:1").value; };
    EXPECT_EQ(found("text"), "a");
    EXPECT_EQ(found("a.b"), "whole") << "a column that has the whole name wins";
    EXPECT_EQ(found("a.c[1]"), 2);
    EXPECT_EQ(found("answers.text[0]"), "x");
    EXPECT_EQ(found("messages[].content"), Json::parse(R"(["p", "q"])"));
    EXPECT_EQ(found("messages[1].content"), "q");
    EXPECT_EQ(found("packed.k[0]"), 3) << "a text of JSON is looked into";
    EXPECT_EQ(found("answers.text[2]"), nullptr) << "beyond the end";
    EXPECT_EQ(found("nothing.at.all"), nullptr);
}

TEST(FieldPath, SaysWhatIsLacking) {
    auto const lacking = [](char const* path) { return FieldPath(path).find(kRow, "F:1").lacking; };
    EXPECT_EQ(lacking("b"), "no field \"b\"");
    EXPECT_EQ(lacking("b.c"), "no field \"b.c\"");
    EXPECT_EQ(lacking("text.x"), "text.x: text is \"a\", which has no field \"x\"");
    EXPECT_EQ(lacking("text[0]"), "text[0]: text is \"a\", which is no list");
    EXPECT_EQ(lacking("answers.start"), "answers.start: answers has no field \"start\", but text");
    for (auto const* none : {"a..b", "a.", "a[", "a[x]", "a[-1]", "[]a", "a[0]b", ".a"})
        EXPECT_EQ(lacking(none), "no field \"" + std::string(none) + "\"");
    try {
        FieldPath("bad[0]").find(kRow, "F:1");
        FAIL() << "bad JSON was taken";
    } catch (cluster::InputError const& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with("F:1: bad:1:3: not JSON"))
            << error.what();
    }
}

/// Rows of a file with that content.
std::vector<Row> rows(std::string const& name, std::string const& content, Columns const& columns) {
    test::TemporaryFolder const folder;
    std::string const file = folder.path() + "/" + name;
    cluster::write_file(file, content);
    std::vector<Row> all;
    read_rows(file, columns, [&](Row&& row) { all.push_back(std::move(row)); });
    return all;
}

std::string const kTables = TRIREME_GOLDEN "/tables/";

/// The rows of a table of tests/golden, without the folder that they lie in.
std::vector<Row> rows_of_table(std::string const& name, Columns const& columns) {
    return rows(name, cluster::read_file(kTables + name), columns);
}
std::vector<std::string> texts_of(std::vector<Row> const& rows) {
    std::vector<std::string> texts;
    for (auto const& row : rows) texts.push_back(row.text);
    return texts;
}

TEST(Rows, HandOutStructuredColumns) {
    Columns const columns{.text = "", .structured = {"messages", "tools", "meta.id"}};
    auto const jsonl = rows("r.jsonl",
                            R"({"messages": [{"role": "user"}], "meta": {"id": 7}})"
                            "\n",
                            columns);
    ASSERT_EQ(jsonl.size(), 1);
    EXPECT_EQ(jsonl[0].structured,
              (std::vector<Json>{Json::parse(R"([{"role": "user"}])"), nullptr, 7}));
    auto const csv =
        rows("r.csv", "messages,meta\n\"[{\"\"role\"\": \"\"user\"\"}]\",\"{\"\"id\"\": 7}\"\n,\n",
             columns);
    ASSERT_EQ(csv.size(), 2);
    EXPECT_EQ(csv[0].structured, (std::vector<Json>{R"([{"role": "user"}])", nullptr, 7}));
    std::string const file = "F";
    EXPECT_EQ(opened({.file = &file, .line = 2}, "messages", csv[0].structured[0]),
              jsonl[0].structured[0]);
    EXPECT_EQ(csv[1].structured, (std::vector<Json>{nullptr, nullptr, nullptr}));
}

TEST(Rows, JoinTextsOfOnePath) {
    auto const all = rows("r.jsonl",
                          R"({"messages": [{"content": "p"}, {"content": "q"}]})"
                          "\n",
                          {.text = "messages[].content"});
    ASSERT_EQ(all.size(), 1);
    EXPECT_EQ(all[0].text, "p\nq");
}

TEST(Rows, AreTheSameInEveryKindOfFile) {
    Columns const columns{.text = "text",
                          .values = {"label", "meta.label", "number"},
                          .structured = {"messages", "meta"}};
    auto const expected = rows_of_table("rows.jsonl", columns);
    ASSERT_EQ(expected.size(), 4);
    EXPECT_EQ(expected[1].values, (std::vector<std::string>{"no", "no", "2"}));
    for (auto const* name :
         {"rows.jsonl.gz", "rows.jsonl.zst", "rows.parquet", "rows.parquet.gz", "rows.parquet.zst",
          "rows.feather", "stream.arrow", "stream.arrow.gz", "stream.arrow.zst", "rows.csv",
          "rows.csv.gz", "rows.csv.zst", "semicolons.csv", "bars.csv"}) {
        SCOPED_TRACE(name);
        bool const header = std::string(name).find("csv") != std::string::npos;
        auto const all = rows_of_table(name, columns);
        ASSERT_EQ(all.size(), expected.size());
        std::string const file = name;
        for (std::size_t i = 0; i < all.size(); ++i) {
            EXPECT_EQ(all[i].text, expected[i].text);
            EXPECT_EQ(all[i].values, expected[i].values);
            EXPECT_EQ(all[i].line, expected[i].line + header);
            Row const at{.file = &file, .line = all[i].line};
            for (std::size_t s = 0; s < 2; ++s)
                EXPECT_EQ(opened(at, "messages", all[i].structured[s]), expected[i].structured[s]);
        }
    }
}

TEST(Rows, ReadValuesThatAreNoTexts) {
    auto const all = rows_of_table("odd.parquet", {.values = {"words", "day", "big"}});
    ASSERT_EQ(all.size(), 2);
    EXPECT_EQ(all[0].values, (std::vector<std::string>{"p", "2024-02-29", "1"}));
    EXPECT_EQ(all[1].values, (std::vector<std::string>{"q", "2024-02-29", "9223372036854775808"}));
}

TEST(Rows, DivideATextByLinesParagraphsOrNotAtAll) {
    auto const texts = [](SampleBy by) {
        return texts_of(rows_of_table("documents.txt", {.sample_by = by}));
    };
    using Texts = std::vector<std::string>;
    EXPECT_EQ(texts(SampleBy::line), (Texts{"a film", "the good", "film", "bad film"}));
    EXPECT_EQ(texts(SampleBy::paragraph), (Texts{"a film", "the good\nfilm", "bad film"}));
    EXPECT_EQ(texts(SampleBy::document), (Texts{"a film\n\n\nthe good\nfilm\n\nbad film"}));
    EXPECT_EQ(rows_of_table("documents.txt", {.sample_by = SampleBy::paragraph})[1].line, 4);
}

TEST(Rows, SayWhatWasFound) {
    Columns const columns{.values = {"label"}};
    using Found = std::vector<std::string>;
    std::string const mark = "a mark of byte order at the beginning, which is passed over";
    EXPECT_EQ(found_in(kTables + "rows.csv", columns), Found{});
    EXPECT_EQ(found_in(kTables + "semicolons.csv", columns),
              (Found{"columns divided by semicolons", mark}));
    EXPECT_EQ(found_in(kTables + "documents.txt", columns), Found{mark});
}

TEST(Inputs, AreFoundInFoldersAndByPatterns) {
    test::TemporaryFolder const folder;
    for (auto const* name :
         {"b.jsonl", "a.csv.gz", "sub/c.parquet", ".hidden.csv", ".git/d.csv", "README.md"}) {
        std::filesystem::path const path = folder.path() + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        cluster::write_file(path.string(), "x");
    }
    auto const at = [&](char const* name) { return folder.path() + "/" + name; };
    auto const all = expanded("--input", {folder.path()});
    EXPECT_EQ(all.files,
              (std::vector<std::string>{at("a.csv.gz"), at("b.jsonl"), at("sub/c.parquet")}));
    ASSERT_EQ(all.left_out.size(), 1);
    EXPECT_EQ(all.left_out[0], folder.path() + ": 1 left out, which is no file of rows: README.md");
    EXPECT_EQ(expanded("--input", {at("*.jsonl"), at("s*")}).files,
              (std::vector<std::string>{at("b.jsonl"), at("sub/c.parquet")}));
    EXPECT_EQ(expanded("--input", {at("none.jsonl")}).files,
              (std::vector<std::string>{at("none.jsonl")}))
        << "whoever reads it says that it is missing";
}

} // namespace
} // namespace trireme::launch::text

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    return trireme::launch::text::with_python([] { return RUN_ALL_TESTS(); });
}
