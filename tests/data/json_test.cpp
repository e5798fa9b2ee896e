// JSON of somebody else: the place of each fault, nothing rounded in silence, and a time that grows
// with the text alone.
#include "data/json.hpp"

#include <gtest/gtest.h>

namespace trireme::data {
namespace {

std::string refusal(std::string const& text, std::int64_t first_line = 0) {
    try {
        parse_json("f.json", text, first_line);
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "accepted";
}

TEST(Json, NumbersBeyondADoubleAreRefusedWithTheirPlace) {
    EXPECT_EQ(refusal("{\"a\": 1,\n  \"b\": 1e999}"),
              "f.json:2:8: 1e999: legal: a number that a double of 64 bits holds");
    EXPECT_EQ(refusal("[-1e400]"),
              "f.json:1:2: -1e400: legal: a number that a double of 64 bits holds");
    EXPECT_EQ(refusal("[1e999]", 7),
              "f.json:7:2: 1e999: legal: a number that a double of 64 bits holds");
    std::string const digits(100'000, '9'); // a message shows its beginning
    EXPECT_EQ(refusal("[" + digits + "]"),
              "f.json:1:2: " + digits.substr(0, 60) +
                  "...: legal: a number that a double of 64 bits holds");
}

TEST(Json, WholeNumbersBeyond64BitsAreNotRoundedInSilence) {
    EXPECT_EQ(refusal("{\"a\": 1,\n\"n\":\n123456789012345678901}"),
              "f.json:3:1: 123456789012345678901: would be rounded; legal: a whole number of at "
              "most 64 bits");
    EXPECT_EQ(refusal("[-9223372036854775809]"),
              "f.json:1:2: -9223372036854775809: would be rounded; legal: a whole number of at "
              "most 64 bits");
    // This number stands in transformers' tokenizer_config.json; as a double it is the same.
    EXPECT_EQ(parse_json("f.json", "[1000000000000000019884624838656]")[0].get<double>(), 1e30);
    EXPECT_EQ(parse_json("f.json", "[18446744073709551615, -9223372036854775808]").dump(),
              "[18446744073709551615,-9223372036854775808]");
    // A field of a row that nobody asks for.
    EXPECT_EQ(refusal("{\"id\": 123456789012345678901}", 3), "accepted");
}

TEST(Json, FaultsOfSyntaxHaveTheirPlace) {
    EXPECT_EQ(refusal("{\"a\": 1,\n  2}").substr(0, 22), "f.json:2:3: not JSON: ");
    EXPECT_EQ(refusal("{\"a\": 1, \"a\": 2}"),
              "f.json: key \"a\" is given twice in one object; legal: once");
    EXPECT_EQ(refusal("{\"a\": {\"b\": 1}, \"b\": {\"b\": 2}}"), "accepted");
    EXPECT_EQ(refusal(std::string(65, '[')),
              "f.json: nested deeper than the 64 levels that are legal");
    EXPECT_EQ(refusal(std::string(64, '[') + std::string(64, ']')), "accepted");
    EXPECT_THROW(parse_json("f.json", "{\"kind\": \"tra"), JsonSyntaxError);
}

TEST(Json, IsWhatTheLibraryReads) {
    std::string const text =
        R"( {"b": [1, -2, 2.5, true, null, "\u00e9", [], {}], "a": {"c": {"d": [[{}]]}}, "": ""} )";
    EXPECT_EQ(parse_json("f.json", text), nlohmann::json::parse(text));
    EXPECT_EQ(parse_json<nlohmann::ordered_json>("f.json", text).dump(),
              nlohmann::ordered_json::parse(text).dump());
    EXPECT_EQ(parse_json("f.json", "5"), 5);
}

} // namespace
} // namespace trireme::data
