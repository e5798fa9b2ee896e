// Rows of two texts: how samples tell one from the other.
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/loader.hpp"
#include "tests/launch/prepare_test.hpp"

namespace trireme::test {
namespace {

constexpr char const* kPairs = R"({"text": "good film", "other": "bad", "label": "a"}
{"text": "a", "other": "the", "label": "b"}
)";

TEST_F(Prepare, PairsHaveSegments) {
    std::string const rows = file("rows.jsonl", kPairs);
    ASSERT_EQ(prepare({"--task", "classification", "--train", rows, "--label", "label", "--pair",
                       "other"})
                  .exit_code,
              0);
    auto const micro_batch = data::open_dataset(out(), "train")->read({0}, 1);
    EXPECT_EQ(micro_batch.tokens, (std::vector<std::int32_t>{2, 7, 5, 3, 8, 3}));
    EXPECT_EQ(micro_batch.segments, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 1}));
}

// RoBERTa has one segment, and divides two texts by special tokens alone.
TEST_F(Prepare, PairsNeedSegmentsOnlyIfTheTokenizerMarksThem) {
    std::string const rows = file("rows.jsonl", kPairs);
    file("config.json", R"({"type_vocab_size": 1})");
    std::string marked = cluster::read_file(kTokenizer + "/tokenizer.json");
    auto const prepare_pairs = [&] {
        file("tokenizer.json", marked);
        return run_command(
            trireme(0, {"prepare", "--tokenizer", folder_.path(), "--output", out(), "--task",
                        "classification", "--train", rows, "--label", "label", "--pair", "other"}));
    };
    Outcome const refused = prepare_pairs();
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_TRUE(has(refused.output, "--pair: other: legal: nothing, as")) << refused.output;
    auto json = nlohmann::json::parse(marked);
    for (auto& piece : json["post_processor"]["pair"]) piece.begin().value()["type_id"] = 0;
    marked = json.dump();
    EXPECT_EQ(prepare_pairs().exit_code, 0);
    EXPECT_EQ(data::open_dataset(out(), "train")->read({0}, 1).tokens,
              (std::vector<std::int32_t>{2, 7, 5, 3, 8, 3}));
}

} // namespace
} // namespace trireme::test
