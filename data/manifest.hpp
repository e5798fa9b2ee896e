// Reads DIR/manifest.json, which says what `trireme prepare` wrote into a folder.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/shard.hpp"

namespace trireme::data {

/// A file beside the shards.
struct SideFile {
    std::string file; ///< base name
    std::string xxh3; ///< hash of the whole file
};

struct SplitInfo {
    std::vector<ShardInfo> shards;
    std::vector<std::int64_t> label_counts; ///< how often each label is there
    /// questions, contexts and gold answers (questions.hpp), of a task that has such
    std::optional<SideFile> questions = {};

    std::int64_t samples() const, tokens() const, longest() const;
    std::string fingerprint() const; ///< XXH3 over the hashes of the shards
};

struct Manifest {
    TaskKind task = TaskKind::language_modeling;
    std::vector<std::string> labels; ///< names of the outputs in id order
    std::int64_t vocabulary = 0;     ///< size of the tokenizer's vocabulary
    std::int64_t max_length = 0;     ///< longer samples were cut to this
    std::string tokenizer_xxh3;      ///< hash of tokenizer.json
    /// Files that the samples' rows came from, as `prepare` was given them. Empty: not known.
    std::vector<std::string> sources = {};
    /// Special tokens that `prepare` added to the tokenizer: the last of the vocabulary, in order.
    std::vector<std::string> added_tokens = {};
    std::map<std::string, SplitInfo> splits;
    std::string summary; ///< JSON text: what was read, dropped, cut (for people)
};

/// Throws InputError naming file and field.
Manifest read_manifest(std::string const& directory);
/// Throws InputError if DIR/manifest.json is not byte by byte what write_manifest wrote: it holds a
/// hash of itself.
void verify_manifest(std::string const& directory);
/// Last of all files, so that a folder with a manifest is complete. Throws JobError.
void write_manifest(std::string const& directory, Manifest const& manifest);

} // namespace trireme::data
