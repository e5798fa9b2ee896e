// One HDF5 file of samples: named columns, each of them contiguous.
//
//   /columns/NAME/values   [N] int32 or float32, all samples end to end (per token) or [n] (per sample)
//   /columns/NAME/offsets  [n + 1] int64, only of per-token columns
//
// Columns: tokens, segments, token_labels (per token); label, trained (per sample). A later task adds columns, and no
// version: readers take what they know and refuse what they lack.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/slot.hpp"

namespace trireme::data {

/// One tokenized sample, as `trireme prepare` makes it.
struct Sample {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> segments;     ///< empty: all zero
    std::vector<std::int32_t> token_labels; ///< language modelling, already shifted; empty: none
    std::int32_t label = kIgnoredLabel;     ///< classification
};

struct ShardInfo {
    std::string file; ///< base name
    std::int64_t samples = 0, tokens = 0, longest = 0, bytes = 0;
    std::string xxh3; ///< of the whole file
};

/// Writes DIR/`file` to a staging name, syncs it, renames it. The bytes depend on the samples alone. Throws JobError.
ShardInfo write_shard(std::string const& directory, std::string const& file, std::vector<Sample> const& samples);

/// What the numbers in a shard may be, as the manifest says.
struct ShardLimits {
    std::int64_t vocabulary = 0; ///< tokens are from 0 to this less 1
    std::int64_t classes = 0;    ///< labels too, or kIgnoredLabel; 0: there are none
};

/// Reads samples with pread. Thread-safe after construction.
class Shard {
  public:
    /// DIRECTORY/expected.file. Throws InputError naming the file and the column that is missing or does not fit.
    Shard(std::string const& directory, ShardInfo const& expected, ShardLimits const& limits);
    ~Shard();
    Shard(Shard&& other) noexcept;
    Shard(Shard const&) = delete;

    std::int64_t size() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
    std::int64_t length(std::int64_t i) const { return at(offsets_, i + 1) - at(offsets_, i); }
    std::int64_t trained(std::int64_t i) const { return at(trained_, i); }
    /// Appends sample i to the columns of `slot`. Throws JobError naming file and sample.
    void append(std::int64_t i, Slot& slot) const;
    /// Reads the whole file. Throws InputError if it is not the one the manifest describes, or holds a token that is
    /// not in the vocabulary.
    void verify() const;

  private:
    template <typename T>
    static T at(std::vector<T> const& v, std::int64_t i) {
        return v[static_cast<std::size_t>(i)];
    }
    void find_columns();
    void check_labels() const;
    void check_tokens(std::int64_t base, char const* column, bool may_be_ignored) const;
    void read(std::int64_t from, std::int64_t bytes, void* to) const;
    void append_tokens(std::int64_t base, std::int64_t i, std::vector<std::int32_t>& to) const;

    std::string path_;
    ShardInfo expected_;
    ShardLimits limits_;
    int file_ = -1;
    std::vector<std::int64_t> offsets_;
    std::vector<std::int32_t> trained_, labels_;
    std::int64_t tokens_at_ = -1, segments_at_ = -1, token_labels_at_ = -1; ///< bytes from the file's start; -1: absent
};

} // namespace trireme::data
