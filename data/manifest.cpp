#include "data/manifest.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::data {

namespace {

constexpr char const* kFormat = "trireme-dataset";

nlohmann::ordered_json to_json(ShardInfo const& s) {
    return {{"file", s.file},       {"samples", s.samples}, {"tokens", s.tokens},
            {"longest", s.longest}, {"bytes", s.bytes},     {"xxh3", s.xxh3}};
}

ShardInfo shard_from(nlohmann::json const& j) {
    ShardInfo const s{j.at("file"), j.at("samples"), j.at("tokens"), j.at("longest"), j.at("bytes"), j.at("xxh3")};
    // A name with a slash could point anywhere on the disk.
    if (s.file.empty() || s.file.find('/') != std::string::npos || s.file.starts_with('.'))
        throw cluster::InputError("shard file \"" + s.file + "\": legal: a base name");
    return s;
}

template <typename Member>
std::int64_t total(std::vector<ShardInfo> const& shards, Member member) {
    std::int64_t sum = 0;
    for (auto const& s : shards) sum += s.*member;
    return sum;
}

} // namespace

std::int64_t SplitInfo::samples() const {
    return total(shards, &ShardInfo::samples);
}
std::int64_t SplitInfo::tokens() const {
    return total(shards, &ShardInfo::tokens);
}
std::int64_t SplitInfo::longest() const {
    std::int64_t most = 0;
    for (auto const& s : shards) most = std::max(most, s.longest);
    return most;
}
std::string SplitInfo::fingerprint() const {
    std::string all;
    for (auto const& s : shards) all += s.xxh3;
    return cluster::xxh3_hex(all.data(), all.size());
}

Manifest read_manifest(std::string const& directory) {
    std::string const path = directory + "/manifest.json";
    std::ifstream file(path);
    if (!file) throw cluster::InputError(path + ": cannot be read; legal: a folder that `trireme prepare` wrote");
    try {
        auto const j = nlohmann::json::parse(file);
        if (j.at("format") != kFormat)
            throw cluster::InputError("format: " + j.at("format").dump() + ": legal: " + kFormat);
        Manifest m{.task = j.at("task"),
                   .labels = j.at("labels"),
                   .vocabulary = j.at("vocabulary"),
                   .max_length = j.at("max_length"),
                   .tokenizer_xxh3 = j.at("tokenizer_xxh3"),
                   .summary = j.at("summary").dump()};
        for (auto const& [name, split] : j.at("splits").items()) {
            SplitInfo& info = m.splits[name];
            split.at("label_counts").get_to(info.label_counts);
            for (auto const& s : split.at("shards")) info.shards.push_back(shard_from(s));
        }
        return m;
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(path + ": " + error.what());
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(path + ": " + error.what());
    }
}

void write_manifest(std::string const& directory, Manifest const& m) {
    nlohmann::ordered_json splits;
    for (auto const& [name, split] : m.splits) {
        nlohmann::ordered_json shards = nlohmann::ordered_json::array();
        for (auto const& s : split.shards) shards.push_back(to_json(s));
        splits[name] = {{"samples", split.samples()},
                        {"tokens", split.tokens()},
                        {"longest", split.longest()},
                        {"label_counts", split.label_counts},
                        {"shards", shards}};
    }
    nlohmann::ordered_json const j{
        {"format", kFormat},          {"task", m.task},
        {"labels", m.labels},         {"vocabulary", m.vocabulary},
        {"max_length", m.max_length}, {"tokenizer_xxh3", m.tokenizer_xxh3},
        {"splits", splits},           {"summary", nlohmann::ordered_json::parse(m.summary.empty() ? "{}" : m.summary)}};
    cluster::write_file(directory + "/manifest.json", j.dump(1) + "\n");
}

} // namespace trireme::data
