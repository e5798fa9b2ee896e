// Languages of sequences, and runs that learn them, for tests of what keeps a run general.
#pragma once
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cluster/file.hpp"
#include "cluster/philox.hpp"
#include "data/manifest.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/tiny_run.hpp"

namespace trireme::test {

constexpr std::int32_t kVocabulary = 101; // of the model of write_tiny_run

/// Describes a language of sequences: a token follows from the one before by `factor`, but for
/// `noise` of 16, which are any.
struct Language {
    std::int32_t factor = 5;
    std::uint32_t noise = 4;
};

inline std::vector<data::Sample> sequences(Language const& language, std::uint64_t seed,
                                           int count) {
    std::vector<data::Sample> all;
    for (int i = 0; i < count; ++i) {
        auto const draw = [&](std::uint64_t place) {
            return cluster::philox(seed, static_cast<std::uint64_t>(i), place)[0];
        };
        data::Sample& s = all.emplace_back();
        s.tokens.resize(16);
        for (std::size_t t = 0; t < s.tokens.size(); ++t)
            s.tokens[t] = t > 0 && draw(2 * t) % 16 >= language.noise
                              ? (s.tokens[t - 1] * language.factor + 3) % kVocabulary
                              : static_cast<std::int32_t>(draw(2 * t + 1) % kVocabulary);
        auto& labels = s.labels[data::kTokenLabels.name];
        labels.assign(s.tokens.begin() + 1, s.tokens.end());
        labels.push_back(data::kIgnoredLabel);
    }
    return all;
}

inline void write_data(std::string const& folder, Language const& language, std::uint64_t seed,
                       int training) {
    std::filesystem::create_directories(folder);
    data::Manifest manifest{
        .task = data::TaskKind::language_modeling, .vocabulary = kVocabulary, .max_length = 32};
    manifest.splits["train"].shards = {
        data::write_shard(folder, "train-00000.h5", sequences(language, 2 * seed, training), {})};
    manifest.splits["validation"].shards = {data::write_shard(
        folder, "validation-00000.h5", sequences(language, 2 * seed + 1, 100), {})};
    data::write_manifest(folder, manifest);
}

using Set = std::vector<std::string>;

class Guard : public testing::Test {
  protected:
    Guard() : yaml_(write_tiny_run(folder_.path())) {}
    std::string path(std::string const& name) const { return folder_.path() + "/" + name; }
    /// Trains in the folder `run`. 0 ranks: without mpirun.
    Outcome train(std::string const& run, Set const& values, int ranks = 0) const {
        std::vector<std::string> words{"train", yaml_};
        Set all{"run=" + path(run),  "model.hidden_dropout=0",      "model.attention_dropout=0",
                "batch.global=8",    "optimizer.schedule=constant", "optimizer.warmup=0",
                "checkpoint.every=0"};
        all.insert(all.end(), values.begin(), values.end());
        for (auto const& value : all) words.insert(words.end(), {"--set", value});
        Outcome outcome = run_command(trireme(ranks, words));
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        return outcome;
    }
    std::vector<nlohmann::json> events(std::string const& run, std::string const& kind) const {
        std::vector<nlohmann::json> found;
        for (auto const& line : metric_lines(path(run)))
            if (auto event = nlohmann::json::parse(line); event.at("kind") == kind)
                found.push_back(std::move(event));
        return found;
    }
    std::string exported(std::string const& run) const {
        Outcome const done = run_command(
            trireme(0, {"export", "--run", path(run), "--output", path(run + "-exported")}));
        EXPECT_EQ(done.exit_code, 0) << done.output;
        return done.output;
    }
    /// Last evaluation, and the one with the lowest loss.
    struct Ends {
        std::int64_t last, best;
    };
    Ends ends(std::string const& run) const {
        Ends found{0, 0};
        double lowest = INFINITY;
        for (auto const& event : events(run, "evaluation")) {
            found.last = event.at("step");
            if (event.at("loss") >= lowest) continue;
            lowest = event.at("loss");
            found.best = event.at("step");
        }
        return found;
    }
    TemporaryFolder folder_;
    std::string yaml_;
};

inline std::string name_of_step(std::int64_t step) {
    return fmt::format("step-{:09}", step);
}

/// Weights of an exported folder, as its file has them end to end.
inline std::vector<float> weights_in(std::string const& folder) {
    std::string const bytes = cluster::read_file(folder + "/model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::vector<float> values((bytes.size() - 8 - header) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + 8 + header, values.size() * sizeof(float));
    return values;
}

} // namespace trireme::test
