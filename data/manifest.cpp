#include "data/manifest.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <set>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/path.hpp"
#include "cluster/xxh3.hpp"
#include "data/json.hpp"

namespace trireme::data {

namespace {

constexpr char const* kFormat = "trireme-dataset";

nlohmann::ordered_json to_json(ShardInfo const& s) {
    auto columns = nlohmann::ordered_json::object();
    for (auto const& c : s.columns)
        columns[c.name] = {
            {"dtype", c.dtype}, {"elements", c.elements}, {"offset", c.offset}, {"xxh3", c.xxh3}};
    return {{"file", s.file},         {"samples", s.samples}, {"tokens", s.tokens},
            {"longest", s.longest},   {"bytes", s.bytes},     {"xxh3", s.xxh3},
            {"segments", s.segments}, {"columns", columns}};
}

/// Bounds the tokens of a shard and of a split, so that sums and products with them cannot
/// overflow.
constexpr std::int64_t kMostTokens = INT64_C(1) << 48;

std::vector<ColumnInfo> columns_from(nlohmann::json const& j) {
    if (!j.contains("columns") || !j.at("columns").is_object())
        throw cluster::InputError(
            "columns: missing: made by an older trireme; prepare the data again");
    std::vector<ColumnInfo> columns;
    for (auto const& [name, c] : j.at("columns").items()) try {
            columns.push_back({name, member<std::string>(c, "dtype"), count(c, "elements"),
                               count(c, "offset"), member<std::string>(c, "xxh3")});
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(fmt::format("columns.{}.{}", name, error.what()));
        }
    return columns;
}

ShardInfo shard_from(nlohmann::json const& j) {
    ShardInfo s{member<std::string>(j, "file"), count(j, "samples", 1),
                count(j, "tokens", 1),          count(j, "longest", 1),
                count(j, "bytes", 1),           member<std::string>(j, "xxh3")};
    if (std::max({s.samples, s.tokens, s.longest}) > kMostTokens)
        throw cluster::InputError(
            fmt::format("samples, tokens, longest: legal: at most {}", kMostTokens));
    s.columns = columns_from(j); // before what older ones lack too
    s.segments = count(j, "segments", 1);
    return s;
}

SplitInfo split_from(nlohmann::json const& j) {
    SplitInfo info{.label_counts = member<std::vector<std::int64_t>>(j, "label_counts")};
    for (auto const& s : list(j, "shards")) try {
            info.shards.push_back(shard_from(s));
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(
                fmt::format("shards[{}]: {}", info.shards.size(), error.what()));
        }
    if (info.shards.empty())
        throw cluster::InputError("shards: an empty list; legal: one shard or more");
    if (j.contains("questions")) try {
            auto const& file = j.at("questions");
            info.questions = {member<std::string>(file, "file"), member<std::string>(file, "xxh3")};
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(fmt::format("questions.{}", error.what()));
        }
    std::int64_t tokens = 0;
    for (auto const& s : info.shards)
        if (tokens += s.tokens; tokens > kMostTokens)
            throw cluster::InputError(fmt::format(
                "tokens: of all shards more than {}: legal: at most that", kMostTokens));
    return info;
}

std::vector<std::string> names_if_there(nlohmann::json const& j, char const* name) {
    return j.contains(name) ? member<std::vector<std::string>>(j, name)
                            : std::vector<std::string>{};
}

void check_added_tokens(Manifest const& m) {
    if (std::ssize(m.added_tokens) >= m.vocabulary)
        throw cluster::InputError(
            fmt::format("added_tokens: {} names: legal: fewer than the {} tokens of vocabulary",
                        m.added_tokens.size(), m.vocabulary));
}

Manifest manifest_from(nlohmann::json const& j) {
    if (member<std::string>(j, "format") != kFormat)
        throw cluster::InputError(
            fmt::format("format: {}: legal: {}", shown(j.at("format")), kFormat));
    Manifest m{.task = task_named(member<std::string>(j, "task"), "task").kind,
               .labels = member<std::vector<std::string>>(j, "labels"),
               .vocabulary = count(j, "vocabulary", 1),
               .max_length = count(j, "max_length", 1),
               .tokenizer_xxh3 = member<std::string>(j, "tokenizer_xxh3"),
               .sources = names_if_there(j, "sources"),
               .added_tokens = names_if_there(j, "added_tokens"),
               .summary = j.contains("summary") ? j.at("summary").dump() : "{}"};
    check_added_tokens(m);
    std::set<std::string> names;
    for (auto const& label : m.labels)
        if (!names.insert(label).second)
            throw cluster::InputError(fmt::format("labels: {} stands there twice; legal: once",
                                                  shown(nlohmann::json(label))));
    if (std::ssize(m.labels) < schema_of(m.task).least_labels)
        throw cluster::InputError(fmt::format("labels: {}: legal: {} or more, as the task {} has",
                                              m.labels.size(), schema_of(m.task).least_labels,
                                              schema_of(m.task).name));
    if (!j.contains("splits") || !j.at("splits").is_object())
        throw cluster::InputError("splits: legal: an object of splits by name");
    for (auto const& [name, split] : j.at("splits").items()) try {
            m.splits[name] = split_from(split);
            if (m.splits[name].questions && m.task != TaskKind::question_answering)
                throw cluster::InputError(fmt::format(
                    "questions: legal: nothing, as the task is {}", schema_of(m.task).name));
        } catch (cluster::InputError const& error) {
            throw cluster::InputError(fmt::format("splits.{}.{}", name, error.what()));
        }
    return m;
}

/// Returns the text as it stands in the file.
std::string text_of(nlohmann::ordered_json const& j) {
    return j.dump(1) + "\n";
}
std::string hash_of(nlohmann::ordered_json const& j) {
    std::string const text = text_of(j);
    return cluster::xxh3_hex(text.data(), text.size());
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
    std::error_code none;
    if (!std::filesystem::exists(path, none))
        throw cluster::InputError(path + ": no such file" + cluster::current_folder_of(path) +
                                  "; legal: a folder that `trireme prepare` wrote");
    auto const j = parse_json(path, cluster::read_file(path));
    try {
        return manifest_from(j);
    } catch (cluster::InputError const& error) {
        throw cluster::InputError(path + ": " + error.what());
    }
}

void verify_manifest(std::string const& directory) {
    std::string const path = directory + "/manifest.json", text = cluster::read_file(path);
    auto const j = parse_json<nlohmann::ordered_json>(path, text);
    auto rest = j;
    if (j.is_object()) rest.erase("xxh3");
    if (!j.is_object() || !j.contains("xxh3") || j.at("xxh3") != hash_of(rest) ||
        text_of(j) != text)
        throw cluster::InputError(
            path + ": not what `trireme prepare` wrote: its hash of itself does not match; legal: "
                   "the file as it was written; prepare the data again");
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
        if (split.questions)
            splits[name]["questions"] = {{"file", split.questions->file},
                                         {"xxh3", split.questions->xxh3}};
    }
    nlohmann::ordered_json j{{"format", kFormat},
                             {"task", schema_of(m.task).name},
                             {"labels", m.labels},
                             {"vocabulary", m.vocabulary},
                             {"max_length", m.max_length},
                             {"tokenizer_xxh3", m.tokenizer_xxh3},
                             {"sources", m.sources},
                             {"splits", splits},
                             {"summary", parse_json<nlohmann::ordered_json>(
                                             "summary", m.summary.empty() ? "{}" : m.summary)}};
    if (!m.added_tokens.empty()) j["added_tokens"] = m.added_tokens;
    j["xxh3"] = hash_of(j);
    cluster::write_file(directory + "/manifest.json", text_of(j));
}

} // namespace trireme::data
