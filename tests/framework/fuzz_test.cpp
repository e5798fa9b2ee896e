// Readers of files that somebody else wrote, fed with damaged ones: an InputError, or what was read, and never a crash.
#include <gtest/gtest.h>

#include <cstring>

#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/manifest.hpp"
#include "framework/checkpoint/manifest.hpp"
#include "framework/config.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework {
namespace {

using test::fuzz;
using test::put;

std::string golden(char const* path) {
    return cluster::read_file(std::string(TRIREME_GOLDEN) + "/" + path);
}

TEST(Fuzz, HeaderOfSafetensors) {
    test::TemporaryFolder const folder;
    std::string const file = folder.path() + "/model.safetensors";
    std::string const header =
        R"({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
            "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]}, "c": {"dtype": "I64", "shape": [], "data_offsets": [32, 40]}})";
    // Once with a length that fits the damaged header, once with all bytes damaged.
    fuzz(header, [&](std::string const& text) {
        std::uint64_t const size = text.size();
        put(file, std::string(reinterpret_cast<char const*>(&size), 8) + text + std::string(40, '\1'));
        for (auto const& [name, entry] : find_tensors(folder.path()))
            EXPECT_LE(entry.offset + entry.bytes, static_cast<std::int64_t>(size) + 48);
    });
    fuzz(golden("llama/model.safetensors"), [&](std::string const& text) {
        put(file, text);
        find_tensors(folder.path());
    });
}

TEST(Fuzz, IndexOfSafetensors) {
    test::TemporaryFolder const folder;
    put(folder.path() + "/one.safetensors", golden("llama/model.safetensors"));
    fuzz(
        R"({"metadata": {"total_size": 1}, "weight_map": {"model.norm.weight": "one.safetensors", "lm_head.weight": "one.safetensors"}})",
        [&](std::string const& text) {
            put(folder.path() + "/model.safetensors.index.json", text);
            find_tensors(folder.path());
        });
}

TEST(Fuzz, ConfigOfHuggingFace) {
    test::TemporaryFolder const folder;
    for (char const* model : {"llama/config.json", "bert/config.json"})
        fuzz(golden(model), [&](std::string const& text) {
            put(folder.path() + "/config.json", text);
            ModelConfig const config = read_hf_config(folder.path());
            labels_of(config);
            to_hf_config(config, "");
        });
}

TEST(Fuzz, ManifestOfData) {
    test::TemporaryFolder const folder;
    data::Manifest manifest{.task = "classification", .labels = {"a", "b"}, .vocabulary = 10, .max_length = 8};
    for (std::string const split : {"train", "test"})
        manifest.splits[split] = {{{split + "-00000.h5",
                                    3,
                                    9,
                                    4,
                                    2000,
                                    std::string(32, 'a'),
                                    1,
                                    {{"tokens/values", "int32", 9, 1000, std::string(32, 'b')},
                                     {"tokens/offsets", "int64", 4, 800, std::string(32, 'c')}}}},
                                  {2, 1}};
    data::write_manifest(folder.path(), manifest);
    fuzz(cluster::read_file(folder.path() + "/manifest.json"), [&](std::string const& text) {
        put(folder.path() + "/manifest.json", text);
        for (auto const& [name, split] : data::read_manifest(folder.path()).splits) {
            EXPECT_GE(split.samples(), 1);
            EXPECT_GE(split.tokens(), 1);
        }
    });
}

TEST(Fuzz, ManifestOfACheckpoint) {
    test::TemporaryFolder const folder;
    CheckpointManifest manifest{.state = {{"progress", {{"step", 3}}}}};
    manifest.tensors = {{"weight",
                         "m",
                         "f32",
                         {4, 3},
                         {{"r.h5", "/m/0", {{0, 0}, {2, 3}}, 100}, {"r.h5", "/m/1", {{2, 0}, {2, 3}}, 200}}},
                        {"moment1", "v", "f64", {5}, {{"r.h5", "/v/0", {{0}, {5}}, 300}}}};
    manifest.files = {{"r.h5", 2'000'000, std::string(32, 'a'), {std::string(32, 'b'), std::string(32, 'c')}}};
    write_manifest(folder.path(), manifest);
    fuzz(cluster::read_file(folder.path() + "/manifest.json"), [&](std::string const& text) {
        // Its hash of itself would keep every damage from the reader: give back a right one.
        auto json = nlohmann::json::parse(text, nullptr, false);
        if (json.is_object()) {
            json.erase("manifest_xxh3");
            std::string const bare = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
            json["manifest_xxh3"] = cluster::xxh3_hex(bare.data(), bare.size());
            put(folder.path() + "/manifest.json", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        } else {
            put(folder.path() + "/manifest.json", text);
        }
        for (auto const& tensor : read_checkpoint_manifest(folder.path()).tensors)
            EXPECT_GT(elements_of(tensor.shape), 0);
    });
}

TEST(Fuzz, ConfigurationOfARun) {
    test::TemporaryFolder const folder;
    put(folder.path() + "/base.yaml", "run: r\ntask: classification\nmodel:\n  path: m\ndata:\n  path: d\n");
    std::string const good = to_yaml(read_config(folder.path() + "/base.yaml", {}));
    fuzz(good, [&](std::string const& text) {
        put(folder.path() + "/run.yaml", text);
        to_yaml(read_config(folder.path() + "/run.yaml", {"optimizer.clip=2"}));
    });
}

} // namespace
} // namespace trireme::framework
