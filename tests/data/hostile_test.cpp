// Shards and manifests that are damaged, forged or changed under a reader, and what attributes say
// of sound ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/hdf5.hpp"
#include "data/loader.hpp"
#include "data/pieces.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::data {
namespace {

std::string bytes_of(auto number) {
    return {reinterpret_cast<char const*>(&number), sizeof number};
}

/// A data set whose second shard (lengths 5 to 9) somebody changed who then made every hash right
/// again.
class ForgedShard : public testing::Test {
  protected:
    ForgedShard() {
        make_dataset(folder_.path());
        manifest_ = read_manifest(folder_.path());
    }
    ShardInfo& info() { return manifest_.splits["train"].shards[1]; }
    ColumnInfo& column(std::string const& name) {
        return *std::ranges::find(info().columns, name, &ColumnInfo::name);
    }
    void put(std::string const& name, std::size_t element, auto value) {
        std::string const path = folder_.path() + "/" + info().file;
        std::string bytes = cluster::read_file(path);
        ColumnInfo& c = column(name);
        bytes.replace(static_cast<std::size_t>(c.offset) + element * sizeof value, sizeof value,
                      bytes_of(value));
        cluster::write_file(path, bytes);
        info().xxh3 = cluster::xxh3_of_file(path);
        c.xxh3 = cluster::xxh3_hex(bytes.data() + c.offset,
                                   static_cast<std::size_t>(c.elements) * sizeof value);
    }
    /// Returns what opening and verifying say, without the folder.
    std::string error() {
        write_manifest(folder_.path(), manifest_);
        std::string text = error_of([&] { open_dataset(folder_.path(), "train")->verify(0, 1); });
        if (text.starts_with(folder_.path())) text.erase(0, folder_.path().size() + 1);
        return text;
    }

    test::TemporaryFolder folder_;
    Manifest manifest_;
};

TEST_F(ForgedShard, IsReadWithoutTheHdf5Library) {
    std::string const path = folder_.path() + "/" + info().file;
    MicroBatch const sound = open_dataset(folder_.path(), "train")->read({4, 8}, 1);
    std::string const good = cluster::read_file(path);
    std::string bytes(good.size(), '\xff'); // no bookkeeping of HDF5 is left
    for (auto const& c : info().columns) {
        auto const at = static_cast<std::size_t>(c.offset),
                   size = static_cast<std::size_t>(c.elements * (c.dtype == "int64" ? 8 : 4));
        bytes.replace(at, size, good, at, size);
    }
    cluster::write_file(path, bytes);
    EXPECT_EQ(
        error(),
        "train-00001.h5: content does not match the hash in the manifest; prepare the data again");
    info().xxh3 = cluster::xxh3_of_file(path);
    EXPECT_EQ(error(), "no error");
    EXPECT_EQ(open_dataset(folder_.path(), "train")->read({4, 8}, 1).tokens, sound.tokens);
}

TEST_F(ForgedShard, ColumnsElsewhereAreRefused) {
    auto const again = "; prepare the data again";
    std::string const at = std::to_string(column("tokens/values").offset),
                      bytes = std::to_string(info().bytes);
    column("tokens/values").offset += 4;
    EXPECT_EQ(error(), std::string("train-00001.h5: content does not match the hash of column "
                                   "tokens/values in the manifest") +
                           again);
    column("tokens/values").offset = info().bytes - 4;
    EXPECT_EQ(error(),
              "manifest.json: train-00001.h5: column tokens/values: 35 elements of int32 at " +
                  std::to_string(info().bytes - 4) + ": legal: 35 of int32 inside the " + bytes +
                  " bytes of the file" + again);
    column("tokens/values").offset = INT64_MAX;
    EXPECT_NE(error().find("at 9223372036854775807: legal: 35 of int32 inside"), std::string::npos);
    column("tokens/values").offset = std::stol(at);
    column("label/values").dtype = "int64";
    EXPECT_NE(error().find("column label/values: 5 elements of int64 at"), std::string::npos);
    info().columns.clear();
    EXPECT_EQ(error(),
              std::string("manifest.json: train-00001.h5: column tokens/values: missing") + again);
}

TEST_F(ForgedShard, NumbersThatCannotBeAreRefused) {
    put("tokens/values", 7, std::int32_t{1000});
    EXPECT_EQ(
        error(),
        "train-00001.h5: sample 1: token 1000: legal: 0 to 999, the vocabulary of the manifest");
    put("tokens/values", 7, std::int32_t{1});
    put("segments/values", 7, std::int32_t{2});
    EXPECT_EQ(error(),
              "train-00001.h5: sample 1: segment 2: legal: 0 to 1, the segments of the manifest");
    put("segments/values", 7, std::int32_t{1});
    put("label/values", 2, std::int32_t{3});
    EXPECT_EQ(error(),
              "train-00001.h5: sample 2: label 3: legal: 0 to 2, the labels of the manifest");
    put("label/values", 2, std::int32_t{1});
    put("trained/values", 0, std::int32_t{2});
    EXPECT_EQ(error(), "train-00001.h5: sample 0: trained 2: legal: 0 to 1");
    put("trained/values", 0, std::int32_t{1});
    EXPECT_EQ(error(), "no error");
}

TEST_F(ForgedShard, LabelsOfTokensThatCannotBeAreRefused) {
    make_dataset(folder_.path(), TaskKind::language_modeling);
    manifest_ = read_manifest(folder_.path());
    put("token_labels/values", 34, std::int32_t{-1});
    EXPECT_EQ(error(), "train-00001.h5: sample 4: token label -1: legal: 0 to 999, the vocabulary "
                       "of the manifest");
    put("token_labels/values", 34, kIgnoredLabel);
    put("trained/values", 0, std::int32_t{6});
    EXPECT_EQ(error(), "train-00001.h5: sample 0: trained 6: legal: 0 to 5");
    put("trained/values", 0, std::int32_t{5});
    EXPECT_EQ(error(), "no error");
}

/// Pieces of five numbers, and samples of 5 to 9: each number is looked at, and the sample that it
/// belongs to is named.
TEST_F(ForgedShard, EachNumberIsCheckedWhereverPiecesEnd) {
    SmallPieces const small;
    EXPECT_EQ(error(), "no error");
    std::size_t element = 0;
    for (int sample = 0; sample < 5; ++sample)
        for (int token = 0; token < 5 + sample; ++token, ++element) {
            put("tokens/values", element, std::int32_t{1000});
            EXPECT_EQ(error(), "train-00001.h5: sample " + std::to_string(sample) +
                                   ": token 1000: legal: 0 to 999, the vocabulary of the manifest")
                << element;
            put("tokens/values", element, std::int32_t{1});
        }
    EXPECT_EQ(element, 35U);
    EXPECT_EQ(error(), "no error");
}

TEST_F(ForgedShard, OffsetsThatDoNotRiseAreRefused) {
    put("tokens/offsets", 1, std::int64_t{0});
    EXPECT_EQ(error(), "train-00001.h5: sample 0: tokens from 0 to 0: legal: one token or more");
    put("tokens/offsets", 1, std::int64_t{12});
    EXPECT_EQ(error(), "train-00001.h5: sample 1: tokens from 12 to 11: legal: one token or more");
    put("tokens/offsets", 1, std::int64_t{1});
    EXPECT_EQ(error(),
              "train-00001.h5: the longest sample has 10 tokens: legal: 9, as the manifest says");
    put("tokens/offsets", 1, std::int64_t{5});
    put("tokens/offsets", 5, std::int64_t{36});
    EXPECT_EQ(error(), "train-00001.h5: tokens/offsets: from 0 to 36: legal: from 0 to 35, the "
                       "tokens of the manifest");
}

TEST_F(ForgedShard, AFileChangedAfterItWasCheckedIsNoticed) {
    auto const set = open_dataset(folder_.path(), "train");
    set->verify(0, 1);
    std::string const path = folder_.path() + "/" + info().file;
    // in place, under the open file
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(column("tokens/values").offset + 4);
    file << bytes_of(std::int32_t{-7}) << std::flush;
    try {
        set->read({4}, 1);
        FAIL() << "a token of -7 was read";
    } catch (cluster::JobError const& error) {
        EXPECT_EQ(std::string(error.what()),
                  path + ": sample 0: token -7: the file was changed after it was checked");
    }
}

TEST_F(ForgedShard, ShardsThatChangedPlacesAreRefused) {
    auto& shards = manifest_.splits["train"].shards;
    ASSERT_EQ(shards[0].bytes, shards[1].bytes) << "their sizes would give them away";
    std::swap(shards[0].file, shards[1].file);
    EXPECT_EQ(
        error(),
        "train-00001.h5: content does not match the hash of column tokens/offsets in the manifest; "
        "prepare the data again");
}

TEST(Manifests, CountsThatOverflowAreRefused) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    std::string const path = folder.path() + "/manifest.json", good = cluster::read_file(path);
    auto const with = [&](std::string const& key, std::string const& value) {
        std::string text = good;
        auto const shards = text.find("\"shards\""),
                   at = text.find("\"" + key + "\": ", shards) + key.size() + 4;
        text.replace(at, text.find_first_of(",\n", at) - at, value);
        cluster::write_file(path, text);
        return error_of([&] { open_dataset(folder.path(), "train"); }).substr(path.size() + 2);
    };
    std::string const shard = "splits.train.shards[0]: ";
    EXPECT_EQ(with("tokens", "9223372036854775807"),
              shard + "samples, tokens, longest: legal: at most 281474976710656");
    EXPECT_EQ(with("tokens", "18446744073709551616"),
              shard + "tokens: 1.8446744073709552e+19: legal: a whole number");
    EXPECT_EQ(with("tokens", "281474976710656"),
              "splits.train.tokens: of all shards more than 281474976710656: legal: at most that");
}

TEST(Manifests, WithoutColumnsAreOfAnOlderTrireme) {
    test::TemporaryFolder const folder;
    make_dataset(folder.path());
    std::string const path = folder.path() + "/manifest.json";
    std::string text = cluster::read_file(path);
    text.replace(text.find("\"columns\""), 9, "\"column\"");
    cluster::write_file(path, text);
    EXPECT_EQ(error_of([&] { open_dataset(folder.path(), "train"); }),
              path + ": splits.train.shards[0]: columns: missing: made by an older trireme; "
                     "prepare the data again");
}

TEST(Shards, SayInAttributesWhatTheyHold) {
    test::TemporaryFolder const folder;
    std::string const path = folder.path() + "/x.h5";
    write_shard(folder.path(), "x.h5", {sample(4, 2)},
                {TaskKind::classification, {"bad", "gut, s\u00e9rieux"}});
    H5 const file = open_h5(path);
    auto const texts = [&](char const* name) {
        H5 const attribute(H5Aopen(file, name, H5P_DEFAULT), H5Aclose, path, name);
        H5 const space(H5Aget_space(attribute), H5Sclose, path, name),
            type(H5Aget_type(attribute), H5Tclose, path, name);
        std::vector<char*> found(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
        check_h5(H5Aread(attribute, type, found.data()), path, name);
        std::vector<std::string> out(found.begin(), found.end());
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, found.data());
        return out;
    };
    using Texts = std::vector<std::string>;
    EXPECT_EQ(texts("format"), Texts{"trireme-shard"});
    EXPECT_EQ(texts("version"), Texts{"1"});
    EXPECT_EQ(texts("task"), Texts{"classification"});
    EXPECT_EQ(texts("labels"), (Texts{"bad", "gut, s\u00e9rieux"}));
    EXPECT_EQ(texts("columns"), (Texts{"tokens/offsets", "tokens/values", "segments/offsets",
                                       "segments/values", "trained/values", "label/values"}));
    // More labels than an attribute has room for stand in the manifest alone.
    write_shard(folder.path(), "y.h5", {sample(4, 2)},
                {TaskKind::classification, Texts(100'000, "a label")});
    EXPECT_EQ(H5Aexists(open_h5(folder.path() + "/y.h5"), "labels"), 0);
}

} // namespace
} // namespace trireme::data
