// Manifests and shards of data sets, and checkpoints, damaged by somebody who makes every hash
// right again.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>

#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/json.hpp"
#include "data/loader.hpp"
#include "data/shard.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/run_state.hpp"
#include "framework/checkpoint/writer.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme {
namespace {

using test::fuzz;
using test::fuzz_json;
using test::fuzz_with;
using test::FuzzLimits;
using test::put;

std::string hash_of(std::string_view bytes) {
    return cluster::xxh3_hex(bytes.data(), bytes.size());
}

TEST(DataFuzz, Manifest) {
    test::TemporaryFolder const folder;
    data::make_dataset(folder.path());
    std::string const path = folder.path() + "/manifest.json";
    fuzz_json(cluster::read_file(path), [&](std::string const& text) {
        put(path, text);
        for (auto const& [name, split] : data::read_manifest(folder.path()).splits) {
            EXPECT_GE(split.samples(), 1);
            EXPECT_GE(split.tokens(), 1);
        }
        auto const set = data::open_dataset(folder.path(), "train");
        set->read({0, set->size() - 1}, 8);
    });
}

/// Bytes of a shard in a text of JSON beside what the manifest says of them.
class ShardFuzz : public testing::Test {
  protected:
    static constexpr auto kTask = data::TaskKind::classification;
    ShardFuzz() {
        std::vector<data::Sample> samples;
        for (int i = 1; i < 6; ++i) {
            samples.push_back(data::sample(i, i));
            samples.back().source = {i % 2, i};
        }
        info_ = data::write_shard(folder_.path(), "x.h5", samples, {kTask, {"a", "b", "c"}});
        bytes_ = cluster::read_file(folder_.path() + "/x.h5");
    }
    static void open_and_read(std::string const& folder, data::ShardInfo const& info) {
        data::Shard const shard(folder, info, {kTask, 1000, 3, 2});
        shard.verify();
        data::MicroBatch micro_batch;
        micro_batch.offsets.push_back(0);
        for (std::int64_t i = 0; i < shard.size(); ++i) {
            shard.append(i, micro_batch);
            static_cast<void>(shard.source(i));
        }
        EXPECT_EQ(micro_batch.tokens.size(), micro_batch.segments.size());
    }
    /// The hashes of `info` as `bytes` have them, where its columns lie in them.
    static void make_right(data::ShardInfo& info, std::string_view bytes) {
        info.xxh3 = hash_of(bytes);
        for (auto& c : info.columns) {
            auto const size = static_cast<std::size_t>(c.elements) * (c.dtype == "int64" ? 8 : 4);
            if (static_cast<std::size_t>(c.offset) <= bytes.size() &&
                size <= bytes.size() - static_cast<std::size_t>(c.offset))
                c.xxh3 = hash_of(bytes.substr(static_cast<std::size_t>(c.offset), size));
        }
    }
    test::TemporaryFolder folder_;
    data::ShardInfo info_;
    std::string bytes_;
};

/// Small numbers in places of the columns, as tokens, offsets and labels have them.
class NumberMutator {
  public:
    NumberMutator(data::ShardInfo const& info) : info_(info) {}
    std::string operator()(std::string bytes) {
        for (std::size_t n = 1 + random_() % 3; n > 0; --n) {
            auto const& c = info_.columns[random_() % info_.columns.size()];
            std::size_t const width = c.dtype == "int64" ? 8 : 4;
            std::size_t const at = static_cast<std::size_t>(c.offset) +
                                   random_() % static_cast<std::size_t>(c.elements) * width;
            static std::array<std::int64_t, 12> const values{0,  1,   2,    3,  5,    15,
                                                             16, 999, 1000, -1, -100, INT64_MAX};
            std::int64_t const value = values[random_() % values.size()];
            bytes.replace(at, width, std::string(reinterpret_cast<char const*>(&value), width));
        }
        return bytes;
    }

  private:
    data::ShardInfo const& info_;
    std::mt19937 random_{test::fuzz_seed()};
};

TEST_F(ShardFuzz, NumbersOfColumns) {
    fuzz_with(NumberMutator(info_), bytes_, [&](std::string const& bytes) {
        data::ShardInfo info = info_;
        make_right(info, bytes);
        put(folder_.path() + "/x.h5", bytes);
        open_and_read(folder_.path(), info);
    });
}

TEST_F(ShardFuzz, AnyBytes) {
    fuzz(bytes_, [&](std::string const& bytes) {
        data::ShardInfo info = info_;
        info.bytes = static_cast<std::int64_t>(bytes.size());
        make_right(info, bytes);
        put(folder_.path() + "/x.h5", bytes);
        open_and_read(folder_.path(), info);
    });
}

/// Mutates what a manifest says of a shard's columns: places, lengths and kinds, over sound bytes.
TEST_F(ShardFuzz, PlacesOfColumns) {
    nlohmann::json good{{"samples", info_.samples},
                        {"tokens", info_.tokens},
                        {"longest", info_.longest},
                        {"segments", info_.segments}};
    for (auto const& c : info_.columns)
        good["columns"].push_back(
            {{"name", c.name}, {"dtype", c.dtype}, {"elements", c.elements}, {"offset", c.offset}});
    fuzz_with(test::JsonMutator(), good.dump(), [&](std::string const& text) {
        auto const json = nlohmann::json::parse(text);
        data::ShardInfo info = info_;
        try {
            info.samples = data::count(json, "samples", 1),
            info.tokens = data::count(json, "tokens", 1);
            info.longest = data::count(json, "longest", 1),
            info.segments = data::count(json, "segments", 1);
            if (std::max({info.samples, info.tokens, info.longest}) > INT64_C(1) << 48)
                throw cluster::InputError("most");
            info.columns.clear();
            for (auto const& c : data::list(json, "columns"))
                info.columns.push_back({data::member<std::string>(c, "name"),
                                        data::member<std::string>(c, "dtype"),
                                        data::count(c, "elements"), data::count(c, "offset"), ""});
        } catch (
            cluster::InputError const& error) { // of the manifest's reader, which is tried above
            throw cluster::InputError(folder_.path() + "/manifest.json: " + error.what());
        }
        make_right(info, bytes_);
        try {
            open_and_read(folder_.path(), info);
        } catch (cluster::InputError const& error) { // the data set puts the folder in front
            throw cluster::InputError(folder_.path() + "/" + error.what());
        }
    });
}

TEST(CheckpointFuzz, ManifestAndWhatIsReadByIt) {
    test::TemporaryFolder const home;
    std::string const folder = home.path() + "/step-00000003", path = folder + "/manifest.json";
    std::filesystem::create_directories(folder);
    std::vector<float> const values(12, 1);
    std::atomic<bool> const no = false;
    std::vector<framework::checkpoint::OwnedRange> ranges;
    for (std::string const kind : {"weight", "moment1", "moment2"})
        ranges.push_back(
            framework::checkpoint::flat_range(kind, "m", "f32", {4, 3}, {0, 12, values.data()}));
    auto written = framework::checkpoint::write_rank_file(folder, "r.h5", ranges, no);
    framework::run::Progress progress;
    progress.step = 3;
    framework::checkpoint::Manifest manifest{.state = {{"progress", progress.to_json()},
                                                       {"trajectory", "a"},
                                                       {"config", "run: r"},
                                                       {"data", "d"},
                                                       {"saved_at", "now"},
                                                       {"ranks", 1}}};
    manifest.tensors = written.tensors;
    manifest.files = {written.file};
    framework::checkpoint::write_manifest(folder, manifest);
    fuzz_json(cluster::read_file(path), [&](std::string const& text) {
        // Its hash of itself would keep every damage from the reader: give back a right one.
        auto json = nlohmann::json::parse(text, nullptr, false);
        if (json.is_object()) {
            json.erase("manifest_xxh3");
            json["manifest_xxh3"] =
                hash_of(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        }
        put(path, json.is_object()
                      ? json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                      : text);
        framework::checkpoint::Reader const reader(folder);
        for (auto const& tensor : reader.manifest().tensors) {
            auto const elements = framework::storage::elements_of(tensor.shape);
            ASSERT_GT(elements, 0);
            std::vector<double> out(
                static_cast<std::size_t>(std::min<std::int64_t>(elements, 1000)));
            reader.read(tensor, 0, static_cast<std::int64_t>(out.size()), out.data());
        }
        try {
            framework::checkpoint::read_run_state(reader.manifest(), "step-00000003");
        } catch (cluster::InputError const& error) { // whoever calls it knows the folder
            throw cluster::InputError(folder + "/manifest.json: " + error.what());
        }
    });
}

} // namespace
} // namespace trireme
