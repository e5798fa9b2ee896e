// Columns by path, and values that are more than a text.
#include "launch/text/rows.hpp"

#include <gtest/gtest.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "launch/text/field_path.hpp"
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
    with_python([&] {
        read_rows(file, columns, [&](Row&& row) { all.push_back(std::move(row)); });
        return 0;
    });
    return all;
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

} // namespace
} // namespace trireme::launch::text
