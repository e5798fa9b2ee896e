#include <gtest/gtest.h>

#include <vector>

#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "data/shard.hpp"
#include "data/token_weights.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::data {
namespace {

TEST(Shards, GiveBackWhatWasWritten) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    auto const set = open_dataset(folder.path(), "train");
    ASSERT_EQ(set->size(), 9);
    EXPECT_EQ(set->longest(), 9);
    EXPECT_EQ(set->length(6), 7);
    EXPECT_EQ(set->trained(6), 1) << "the class";
    MicroBatch const micro_batch = set->read({6, 0, 4}, 1);
    EXPECT_EQ(micro_batch.offsets, (std::vector<std::int64_t>{0, 7, 8, 13}));
    EXPECT_EQ(micro_batch.sample_ids, (std::vector<std::int64_t>{6, 0, 4}));
    EXPECT_EQ(micro_batch.columns.labels_of(kClassLabel), (std::vector<std::int32_t>{1, 1, 2}));
    auto expected = sample(7, 7).tokens;
    expected.push_back(100);
    for (int t : sample(5, 5).tokens) expected.push_back(t);
    EXPECT_EQ(micro_batch.tokens, expected);
    EXPECT_EQ(micro_batch.positions,
              (std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 0, 0, 1, 2, 3, 4}));
    EXPECT_EQ(micro_batch.segments,
              (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1}));
    EXPECT_TRUE(micro_batch.columns.labels_of(kTokenLabels).empty()) << "no column of its task";
    EXPECT_EQ(set->task().kind, TaskKind::classification);
}

TEST(Shards, GiveBackTheColumnsOfTheirTask) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path(), TaskKind::language_modeling);
    auto const set = open_dataset(folder.path(), "train");
    EXPECT_EQ(set->trained(6), 6) << "six next tokens";
    MicroBatch const micro_batch = set->read({6, 0}, 1);
    auto const& labels = micro_batch.columns.labels_of(kTokenLabels);
    ASSERT_EQ(labels.size(), 8U);
    EXPECT_EQ(labels[6], kIgnoredLabel);
    EXPECT_EQ(labels[5], 706);
    EXPECT_TRUE(micro_batch.columns.labels_of(kClassLabel).empty());
}

TEST(Shards, ARoundedMicroBatchEndsInASegmentThatCountsNothing) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    MicroBatch micro_batch = open_dataset(folder.path(), "train")->read({6}, 4);
    EXPECT_EQ(micro_batch.token_count(), 8);
    EXPECT_EQ(micro_batch.offsets, (std::vector<std::int64_t>{0, 7, 8}));
    EXPECT_EQ(micro_batch.sample_ids.back(), -1);
    EXPECT_EQ(micro_batch.columns.labels_of(kClassLabel),
              (std::vector<std::int32_t>{1, kIgnoredLabel}));
    make_dataset(folder.path(), TaskKind::language_modeling);
    micro_batch = open_dataset(folder.path(), "train")->read({6}, 4);
    EXPECT_EQ(micro_batch.columns.labels_of(kTokenLabels).size(), 8U);
    EXPECT_EQ(micro_batch.columns.labels_of(kTokenLabels).back(), kIgnoredLabel);
}

/// Writes one sample of three tokens, of which the first is read only, as a split of its own.
void write_split(std::string const& folder, std::string const& split, Manifest& manifest,
                 std::vector<std::int32_t> const& weights) {
    Sample sample{.tokens = {1, 2, 3}, .labels = {{kTokenLabels.name, {kIgnoredLabel, 3, 4}}}};
    if (!weights.empty()) sample.labels[kTokenWeights.name] = weights;
    manifest.splits[split].shards = {
        write_shard(folder, split + "-00000.h5", {sample}, {TaskKind::generation, {}})};
}

TEST(TokenWeights, ShardsWithAndWithoutThemAreReadTogether) {
    test::TemporaryFolder const folder;
    Manifest manifest{.task = TaskKind::generation, .vocabulary = 9, .max_length = 3};
    write_split(folder.path(), "equal", manifest, {});
    write_split(folder.path(), "heavy", manifest, {0, 3 * kWeightUnit, kWeightUnit / 2});
    for (auto const* split : {"equal", "heavy"})
        for (auto const& shard : manifest.splits[split].shards)
            manifest.splits["both"].shards.push_back(shard);
    write_manifest(folder.path(), manifest);
    auto const equal = open_dataset(folder.path(), "equal"),
               both = open_dataset(folder.path(), "both");
    EXPECT_TRUE(equal->read({0}, 1).columns.labels_of(kTokenWeights).empty());
    std::int32_t const unit = kWeightUnit, none = kIgnoredLabel;
    auto const of = [&](std::vector<std::int64_t> const& samples) {
        return both->read(samples, 4).columns.labels_of(kTokenWeights);
    };
    EXPECT_EQ(of({0, 1}),
              (std::vector<std::int32_t>{0, unit, unit, 0, 3 * unit, unit / 2, none, none}));
    EXPECT_EQ(of({1, 0}),
              (std::vector<std::int32_t>{0, 3 * unit, unit / 2, 0, unit, unit, none, none}));
    EXPECT_EQ(weight_of(*equal, {{{0}}, 2, 3}), 2);
    EXPECT_EQ(weight_of(*both, {{{0}, {1}}, 4, 6}), 5.5);
    EXPECT_EQ(both->trained(1), 2) << "labels, whatever they weigh";
}

} // namespace
} // namespace trireme::data
