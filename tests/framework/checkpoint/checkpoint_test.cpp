#include <gtest/gtest.h>

#include <chrono>

#include <nlohmann/json.hpp>

#include <random>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/checkpoint/pieces.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/checkpoint/writer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

TEST(Rectangles, AnyCutsCoverTheTensorExactly) {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        auto const draw = [&](std::int64_t most) {
            return std::uniform_int_distribution<std::int64_t>(1, most)(random);
        };
        storage::Shape const shape =
            round % 3 ? storage::Shape{draw(9), draw(9)} : storage::Shape{draw(40)};
        std::vector<storage::Rectangle> all;
        for (std::int64_t first = 0, n = storage::elements_of(shape); first < n;) {
            std::int64_t const count = std::min(draw(15), n - first);
            auto const part = storage::rectangles_of(shape, first, count);
            EXPECT_LE(part.size(), 3U);
            std::int64_t held = 0;
            for (auto const& r : part) held += r.elements();
            EXPECT_EQ(held, count);
            all.insert(all.end(), part.begin(), part.end());
            first += count;
        }
        EXPECT_TRUE(storage::cover_exactly(shape, all));
        auto less = all, more = all;
        less.pop_back();
        more.push_back(all.front());
        EXPECT_FALSE(storage::cover_exactly(shape, less)) << "a hole";
        EXPECT_FALSE(storage::cover_exactly(shape, more)) << "an overlap";
    }
}

template <typename T>
std::vector<T> random_values(std::size_t n, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<T> values(n);
    for (T& v : values) v = std::normal_distribution<T>()(random);
    return values;
}

/// Two tensors in two rank files, cut in the middle of rows; large enough for several chunks.
struct Written {
    test::TemporaryFolder folder;
    std::vector<float> matrix = random_values<float>(std::size_t{700} * 1001, 1);
    std::vector<double> vector = random_values<double>(37, 2);

    Written() {
        std::int64_t const cut = 333 * 1001 + 17, all = 700 * 1001;
        std::atomic<bool> const abandoned = false;
        auto const part = [&](std::int64_t first, std::int64_t count) {
            return checkpoint::flat_range("weight", "m", "f32", {700, 1001},
                                          {first, count, matrix.data() + first});
        };
        checkpoint::RankFile const a = checkpoint::write_rank_file(
            folder.path(), "rank-00000.h5",
            {part(0, cut),
             checkpoint::flat_range("weight", "v", "f64", {37}, {0, 37, vector.data()})},
            abandoned);
        checkpoint::RankFile const b = checkpoint::write_rank_file(
            folder.path(), "rank-00001.h5", {part(cut, all - cut)}, abandoned);
        checkpoint::Manifest manifest{
            .state = {{"step", 3}}, .tensors = a.tensors, .files = {a.file, b.file}};
        for (auto const& piece : b.tensors[0].pieces) manifest.tensors[0].pieces.push_back(piece);
        manifest.files.push_back(checkpoint::write_virtual_file(folder.path(), manifest.tensors));
        checkpoint::write_manifest(folder.path(), manifest);
    }
};

TEST(Checkpoint, AnyRangeIsReadBack) {
    Written const written;
    checkpoint::Reader const reader(written.folder.path());
    reader.verify();
    auto const* m = reader.manifest().find("weight", "m");
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(m->pieces.size(), 4U) << "whole rows and a part of one, twice";
    for (auto const& [first, count] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {0, 700 * 1001}, {333 * 1001 + 10, 20}, {5, 1}, {300'000, 70'000}}) {
        std::vector<float> out(static_cast<std::size_t>(count));
        reader.read(*m, first, count, out.data());
        EXPECT_TRUE(std::equal(out.begin(), out.end(), written.matrix.begin() + first)) << first;
    }
    std::vector<double> v(37);
    reader.read(*reader.manifest().find("weight", "v"), 0, 37, v.data());
    EXPECT_EQ(v, written.vector);
}

template <typename T>
void expect_written_and_read(std::string const& dtype, std::int64_t n) {
    test::TemporaryFolder const folder;
    auto const values = random_values<T>(static_cast<std::size_t>(n), 3);
    std::atomic<bool> const abandoned = false;
    checkpoint::RankFile const file = checkpoint::write_rank_file(
        folder.path(), "rank-00000.h5",
        {checkpoint::flat_range("weight", "w", dtype, {n}, {0, n, values.data()})}, abandoned);
    checkpoint::write_manifest(folder.path(), {.tensors = file.tensors, .files = {file.file}});
    checkpoint::Reader const reader(folder.path());
    std::vector<T> out(values.size());
    reader.read(*reader.manifest().find("weight", "w"), 0, n, out.data());
    EXPECT_EQ(out, values) << n << " of " << dtype;
}

TEST(Checkpoint, TensorsComeInPiecesAndAreAllThere) {
    checkpoint::SmallPieces const small; // of 13 or 6 elements
    for (std::int64_t const n : {1, 12, 13, 14, 26, 27}) expect_written_and_read<float>("f32", n);
    for (std::int64_t const n : {1, 5, 6, 7, 12, 13}) expect_written_and_read<double>("f64", n);
}

TEST(Checkpoint, EveryFlippedBitIsFound) {
    Written const written;
    std::mt19937_64 random(2);
    for (std::string const file : {"rank-00000.h5", "rank-00001.h5", "whole.h5", "manifest.json"}) {
        std::string const path = written.folder.path() + "/" + file,
                          good = cluster::read_file(path);
        for (int round = 0; round < 25; ++round) {
            std::size_t const bit = random() % (good.size() * 8);
            std::string bad = good;
            bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
            cluster::write_file(path, bad);
            try {
                checkpoint::Reader(written.folder.path()).verify();
                ADD_FAILURE() << file << " bit " << bit << " was not found";
            } catch (cluster::InputError const& error) {
                EXPECT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
            }
        }
        cluster::write_file(path, good);
    }
    checkpoint::Reader(written.folder.path()).verify();
}

TEST(Checkpoint, AReadFindsADamagedPieceAndNamesTheTensor) {
    Written const written;
    std::string const path = written.folder.path() + "/rank-00001.h5";
    std::string bytes = cluster::read_file(path);
    bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 1);
    cluster::write_file(path, bytes);
    checkpoint::Reader const reader(written.folder.path());
    auto const* m = reader.manifest().find("weight", "m");
    std::vector<float> out(static_cast<std::size_t>(storage::elements_of(m->shape)));
    reader.read(*m, 0, 1000, out.data()); // elsewhere
    try {
        reader.read(*m, 0, storage::elements_of(m->shape), out.data());
        ADD_FAILURE() << "not found";
    } catch (cluster::InputError const& error) {
        EXPECT_NE(std::string(error.what()).find("in tensor weight/m"), std::string::npos)
            << error.what();
    }
}

TEST(Checkpoint, ATensorWithAHoleIsNotCommitted) {
    Written const written;
    checkpoint::Manifest manifest = checkpoint::read_manifest(written.folder.path());
    manifest.tensors[0].pieces.pop_back();
    EXPECT_THROW(checkpoint::write_manifest(written.folder.path(), manifest), cluster::JobError);
}

TEST(Rectangles, ManyPiecesAreComparedWithTheirNeighboursAlone) {
    // 160,000 pieces: every one with every other would be 10^10 comparisons
    std::int64_t const side = 400;
    std::vector<storage::Rectangle> pieces;
    for (std::int64_t i = 0; i < side * side; ++i) {
        std::int64_t const at = i * 7919 % (side * side);
        pieces.push_back({{at / side, at % side}, {1, 1}});
    }
    auto const start = std::chrono::steady_clock::now();
    EXPECT_TRUE(storage::cover_exactly({side, side}, pieces));
    pieces.back() = pieces.front();
    EXPECT_FALSE(storage::cover_exactly({side, side}, pieces)) << "one twice, one not at all";
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    EXPECT_FALSE(storage::cover_exactly({4, 4}, {{{0, 0}, {3, 4}}, {{2, 0}, {1, 4}}}))
        << "they overlap in a row";
    EXPECT_FALSE(
        storage::cover_exactly({2, 6}, {{{0, 0}, {2, 4}}, {{0, 3}, {1, 3}}, {{1, 5}, {1, 1}}}))
        << "and in a column";
    EXPECT_TRUE(
        storage::cover_exactly({3, 4}, {{{2, 0}, {1, 1}}, {{0, 1}, {3, 3}}, {{0, 0}, {2, 1}}}));
}

TEST(RunState, IsJudgedByTypesAndByTheFolder) {
    run::Progress progress;
    progress.step = 4;
    nlohmann::json const good{{"progress", progress.to_json()},
                              {"trajectory", "a: 1"},
                              {"config", "b: 2"},
                              {"data", "x"},
                              {"saved_at", "then"},
                              {"ranks", 2}};
    auto const says = [&](auto const& change,
                          std::string const& name = "step-000000004") -> std::string {
        checkpoint::Manifest manifest{.state = good};
        change(manifest.state);
        try {
            return checkpoint::read_run_state(manifest, name).config;
        } catch (cluster::InputError const& error) {
            return error.what();
        }
    };
    EXPECT_EQ(says([](auto&) {}), "b: 2");
    EXPECT_EQ(says([](auto& s) { s["trajectory"] = nullptr; }),
              "state.trajectory: null: legal: a text");
    EXPECT_EQ(says([](auto& s) { s["config"] = 5; }), "state.config: 5: legal: a text");
    EXPECT_EQ(says([](auto& s) { s = nullptr; }), "state: null: legal: an object");
    EXPECT_EQ(says([](auto& s) { s["progress"]["step"] = "4"; }),
              "state.progress.step: \"4\": legal: a whole number");
    EXPECT_EQ(says([](auto&) {}, "step-000000009"),
              "state.progress.step: 4: legal: the step of its folder, step-000000009");
}

} // namespace
} // namespace trireme::framework
