#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/hdf5.hpp"
#include "data/loader.hpp"
#include "data/manifest.hpp"
#include "data/pieces.hpp"
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

TEST(Shards, ASampleWithoutAColumnOfItsTaskIsNotWritten) {
    test::TemporaryFolder const folder;
    Sample s = sample(4, 2);
    s.labels[kTokenLabels.name].pop_back();
    try {
        write_shard(folder.path(), "x.h5", {s}, {TaskKind::language_modeling});
        FAIL() << "written";
    } catch (cluster::JobError const& error) {
        EXPECT_STREQ(error.what(), "a sample has 3 values in column token_labels: legal: 4");
    }
}

TEST(Shards, OfAnotherTaskThanTheManifestSaysAreRefused) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path(), TaskKind::language_modeling);
    Manifest manifest = read_manifest(folder.path());
    manifest.task = TaskKind::classification;
    write_manifest(folder.path(), manifest);
    EXPECT_EQ(error_of([&] { open_dataset(folder.path(), "train"); }),
              folder.path() + "/manifest.json: train-00000.h5: column label/values: missing; "
                              "prepare the data again");
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

/// Rows are written some at a time, and more of them where the next call begins.
TEST(Hdf5, RowsComeInPiecesAndAreAllThere) {
    SmallPieces const small;
    for (std::int64_t const width : {1, 2, 5}) // three rows a piece, one, and one beyond its size
        for (std::int64_t const rows : {1, 2, 3, 4, 6, 7}) {
            test::TemporaryFolder const folder;
            std::string const path = folder.path() + "/x.h5";
            std::vector<double> values(static_cast<std::size_t>((rows + 2) * width));
            std::iota(values.begin(), values.end(), 1.0);
            Extent extent;
            {
                H5 const file = create_h5(path);
                H5 const set = create_contiguous(
                    file, path, "/a/b", H5T_IEEE_F64LE,
                    {static_cast<hsize_t>(rows + 2), static_cast<hsize_t>(width)});
                write_rows(set, path, 0, 2, values.data());
                write_rows(set, path, 2, rows, values.data() + 2 * width);
                extent = extent_of(file, path, "/a/b", H5T_IEEE_F64LE);
            }
            std::string const bytes = cluster::read_file(path);
            ASSERT_EQ(extent.count, std::ssize(values));
            EXPECT_EQ(std::memcmp(bytes.data() + extent.offset, values.data(), 8 * values.size()),
                      0)
                << rows << " rows of " << width;
        }
}

TEST(Shards, EqualContentIsEqualBytes) {
    test::TemporaryFolder const a, b;
    std::vector<Sample> const samples{sample(4, 2), sample(3, 1)};
    ShardInfo const first = write_shard(a.path(), "x.h5", samples, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(1100)); // HDF5 object times count seconds
    EXPECT_EQ(first.xxh3, write_shard(b.path(), "x.h5", samples, {}).xxh3);
}

TEST(Shards, EveryFlippedBitIsFound) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    std::string const path = folder.path() + "/train-00001.h5";
    std::string const good = cluster::read_file(path);
    for (std::size_t bit = 3; bit < good.size() * 8; bit += good.size() * 8 / 50) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        cluster::write_file(path, bad);
        auto const message = error_of([&] { open_dataset(folder.path(), "train")->verify(0, 1); });
        EXPECT_NE(message.find("train-00001.h5"), std::string::npos)
            << "bit " << bit << ": " << message;
    }
}

TEST(Shards, EveryFlippedBitOfTheManifestIsFound) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    std::string const path = folder.path() + "/manifest.json", good = cluster::read_file(path);
    EXPECT_NO_THROW(open_dataset(folder.path(), "train")->verify(0, 1));
    // no divisor of 8: bits of every value
    for (std::size_t bit = 0; bit < good.size() * 8; bit += 5) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        std::ofstream(path, std::ios::binary) << bad;
        auto const message = error_of([&] { open_dataset(folder.path(), "train")->verify(0, 1); });
        // A flip in the name of a shard is told of the file that is not there.
        ASSERT_NE(message.find(folder.path()), std::string::npos)
            << "bit " << bit << ": " << message;
    }
}

TEST(Shards, BadInputIsNamed) {
    test::TemporaryFolder const folder;
    EXPECT_NE(
        error_of([&] { open_dataset(folder.path(), "train"); }).find("manifest.json: no such file"),
        std::string::npos);
    make_dataset(folder.path());
    EXPECT_NE(error_of([&] {
                  open_dataset(folder.path(), "dev");
              }).find("no split \"dev\"; legal: train"),
              std::string::npos);
    std::filesystem::resize_file(folder.path() + "/train-00000.h5", 512);
    EXPECT_NE(error_of([&] {
                  open_dataset(folder.path(), "train");
              }).find("512 bytes, the manifest says"),
              std::string::npos);
    std::filesystem::remove(folder.path() + "/train-00000.h5");
    EXPECT_NE(error_of([&] { open_dataset(folder.path(), "train"); }).find("No such file"),
              std::string::npos);
    std::string text = cluster::read_file(folder.path() + "/manifest.json");
    text.replace(text.find("train-00000.h5"), 14, "../../etc/pass");
    cluster::write_file(folder.path() + "/manifest.json", text);
    EXPECT_NE(error_of([&] {
                  open_dataset(folder.path(), "train");
              }).find("legal: the bare name of a file"),
              std::string::npos);
}

TEST(Order, EachEpochIsAPermutationOfItsOwn) {
    for (std::int64_t const n : {1, 2, 3, 10, 1000}) {
        std::vector<std::int64_t> former;
        for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
            std::vector<std::int64_t> order;
            for (std::int64_t i = 0; i < n; ++i)
                order.push_back(ordered_sample(7, n, epoch * n + i));
            std::set<std::int64_t> const unique(order.begin(), order.end());
            EXPECT_EQ(unique.size(), static_cast<std::size_t>(n));
            EXPECT_GE(*unique.begin(), 0);
            EXPECT_LT(*unique.rbegin(), n);
            if (n == 1000) {
                EXPECT_NE(order, former);
            }
            former = order;
        }
    }
    EXPECT_NE(ordered_sample(1, 1'000'000, 0), ordered_sample(2, 1'000'000, 0));
}

/// Neighbours in the order are unrelated: mean distance of a random pair in [0, n) is n / 3.
TEST(Order, IsShuffled) {
    constexpr std::int64_t n = 10'000;
    double distance = 0;
    for (std::int64_t i = 0; i + 1 < n; ++i)
        distance +=
            std::abs(static_cast<double>(ordered_sample(3, n, i) - ordered_sample(3, n, i + 1)));
    EXPECT_NEAR(distance / n, n / 3.0, n * 0.01);
}

TEST(MicroBatches, HoldEverySampleOnceWithinTheLimit) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        std::vector<std::int64_t> ids, lengths;
        for (std::int64_t i = 0; i < 1 + static_cast<std::int64_t>(seed); ++i) {
            ids.push_back(100 + i);
            lengths.push_back(1 + ordered_sample(seed, 97, i));
        }
        auto const micro_batches =
            cut_into_micro_batches(ids, lengths, {.tokens_per_micro_batch = 80});
        std::vector<std::int64_t> seen;
        for (auto const& micro_batch : micro_batches) {
            std::int64_t tokens = 0;
            for (auto id : micro_batch) tokens += lengths[static_cast<std::size_t>(id - 100)];
            EXPECT_TRUE(tokens <= 80 || micro_batch.size() == 1);
            EXPECT_TRUE(std::ranges::is_sorted(micro_batch))
                << "samples keep the order of the batch";
            seen.insert(seen.end(), micro_batch.begin(), micro_batch.end());
        }
        std::ranges::sort(seen);
        EXPECT_EQ(seen, ids);
    }
}

TEST(MicroBatches, AreBalanced) {
    std::vector<std::int64_t> ids(64), lengths;
    std::iota(ids.begin(), ids.end(), 0);
    for (auto id : ids) lengths.push_back(5 + ordered_sample(1, 60, id));
    auto const micro_batches =
        cut_into_micro_batches(ids, lengths, {.tokens_per_micro_batch = 512});
    std::int64_t least = 1 << 30, most = 0;
    for (auto const& micro_batch : micro_batches) {
        std::int64_t tokens = 0;
        for (auto id : micro_batch) tokens += lengths[static_cast<std::size_t>(id)];
        least = std::min(least, tokens);
        most = std::max(most, tokens);
    }
    EXPECT_LT(static_cast<double>(most - least), 0.05 * static_cast<double>(most));
}

} // namespace
} // namespace trireme::data
