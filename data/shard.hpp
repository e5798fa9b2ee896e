// One HDF5 file of samples: named columns, each of them contiguous.
//
//   /columns/NAME/values   [N] int32 or float32: all samples end to end (per token), or
//                          [n] (per sample); [N, width] or [n, width] of a column with several
//                          values in an entry
//   /columns/NAME/offsets  [n + 1] int64, only of per-token columns
//
// Columns: tokens and, if any is not 0, segments (per token); trained, the values of a sample that
// count in the loss (per sample); those that the task describes (task.hpp); and source_file and
// source_line, the row that a sample was made of. A later task adds columns, and no version:
// readers take what their task describes and refuse what they lack. Attributes of the file say the
// format, its version, the task, the columns and the names of the labels, for people who open it
// with h5py.
//
// We read a shard without the HDF5 library, which crashes on damaged files: the manifest says where
// each column lies.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/micro_batch.hpp"

namespace trireme::data {

/// The row that a sample was made of.
struct Source {
    std::int32_t file = -1; ///< a place in Manifest::sources; -1: not known
    std::int64_t line = 0;  ///< the line of the file, from 1, where the row begins
};

/// One tokenized sample, as `trireme prepare` makes it.
struct Sample {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> segments; ///< empty: all zero
    /// values by column of the task: one per token, or one entry
    std::map<std::string, std::vector<std::int32_t>> labels = {};
    std::map<std::string, std::vector<float>> reals = {};
    Source source = {};

    /// Values of the task's columns that count in the loss.
    std::int64_t trained(TaskSchema const& task) const;
};

/// Locates the elements of one dataset in its file, one after another in little-endian order.
struct ColumnInfo {
    std::string name;  ///< below /columns: "tokens/values"
    std::string dtype; ///< int32 | int64 | float32
    std::int64_t elements = 0;
    std::int64_t offset = 0; ///< bytes from the start of the file
    std::string xxh3;        ///< hash of the elements
};

struct ShardInfo {
    std::string file; ///< base name
    std::int64_t samples = 0, tokens = 0, longest = 0, bytes = 0;
    std::string xxh3;                     ///< hash of the whole file
    std::int64_t segments = 1;            ///< segments are from 0 to this less 1
    std::vector<ColumnInfo> columns = {}; ///< columns in the order in which they were written
};

/// Holds what the attributes of a shard say beside its format.
struct ShardAbout {
    TaskKind task = TaskKind::language_modeling; ///< says which columns are written
    std::vector<std::string> labels; ///< left out of the file if they are too long for an attribute
};

/// Writes DIR/`file` to a staging name, syncs it, renames it. The bytes depend on samples and
/// `about` alone. Throws JobError, also for a sample that lacks a column of the task.
ShardInfo write_shard(std::string const& directory, std::string const& file,
                      std::vector<Sample> const& samples, ShardAbout const& about);

/// Says what must be in a shard, as the manifest has it.
struct ShardLimits {
    TaskKind task = TaskKind::language_modeling;
    std::int64_t vocabulary = 0; ///< tokens are from 0 to this less 1
    std::int64_t labels = 0;     ///< names of labels
    std::int64_t sources = 0;    ///< files that rows came from
};

/// Reads samples with pread. Thread-safe after construction.
class Shard {
  public:
    /// DIRECTORY/expected.file. Reads what is kept in memory: offsets, counts and columns per
    /// sample, against their hashes. Throws InputError naming the file and the column that is
    /// missing or does not fit.
    Shard(std::string const& directory, ShardInfo const& expected, ShardLimits const& limits);
    ~Shard();
    Shard(Shard&& other) noexcept;
    Shard(Shard const&) = delete;

    std::int64_t size() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
    std::int64_t length(std::int64_t i) const { return at(offsets_, i + 1) - at(offsets_, i); }
    std::int64_t trained(std::int64_t i) const { return at(trained_, i); }
    /// kIgnoredLabel: not known, or the task has no classes of samples.
    std::int32_t class_of(std::int64_t i) const;
    /// Appends sample i to the columns of `micro_batch`. Throws JobError naming file and sample,
    /// also if a number is none that `verify` would pass: the file was changed since.
    void append(std::int64_t i, MicroBatch& micro_batch) const;
    /// Values of an int32 column of the task of sample i; as `append` otherwise.
    std::vector<std::int32_t> values_of(std::int64_t i, TaskColumn const& column) const;
    /// Reads where sample i comes from; of a file of -1 where the shard does not say it, as those
    /// of earlier versions. Throws JobError for what `verify` would not pass.
    Source source(std::int64_t i) const;
    /// Reads the whole file. Throws InputError if it is not the one the manifest describes, or
    /// holds a token that is not in the vocabulary.
    void verify() const;

  private:
    /// Bounds the numbers of a column.
    struct Range {
        char const* what = "";       ///< one of its numbers, in a message
        char const* of = "";         ///< name of what bounds them, in a message; "": nothing does
        std::int64_t below = 0;      ///< numbers are from 0 to this less 1
        bool may_be_ignored = false; ///< or kIgnoredLabel
        bool legal(std::int32_t value) const {
            return (value >= 0 && value < below) || (may_be_ignored && value == kIgnoredLabel);
        }
        std::string legal_numbers() const;
    };
    /// A column of `width` int32 per token, which stays in the file.
    struct TokenColumn {
        Range range;
        ColumnInfo const* column = nullptr; ///< null: the shard has none
        TaskColumn const* task = nullptr;   ///< null: of every task
        std::int64_t width = 1;
    };
    /// A column of `width` values per sample, which are kept in memory.
    template <typename T>
    struct SampleColumn {
        TaskColumn const* task = nullptr;
        std::int64_t width = 1;
        std::vector<T> values;
    };
    template <typename T>
    static T at(std::vector<T> const& v, std::int64_t i) {
        return v[static_cast<std::size_t>(i)];
    }
    ColumnInfo const* find(std::string const& name, char const* dtype, std::int64_t elements,
                           bool optional) const;
    template <typename T>
    std::vector<T> read_column(ColumnInfo const& column) const;
    /// `length`: tokens of the sample whose places are bounded.
    Range range_of(TaskColumn const& column, std::int64_t length) const;
    void read_columns();
    void read_task_column(TaskColumn const& column);
    void check_offsets() const;
    void check_labels(SampleColumn<std::int32_t> const& column) const;
    void check_reals(SampleColumn<float> const& column) const;
    void check_trained() const;
    void check_sources() const;
    void check_numbers(TokenColumn const& tokens) const;
    void read(std::int64_t from, std::int64_t bytes, void* to) const;
    void append_tokens(TokenColumn const& tokens, std::int64_t i,
                       std::vector<std::int32_t>& to) const;

    std::string path_;
    /// its columns stay where they are when the shard is moved
    std::unique_ptr<ShardInfo const> expected_;
    ShardLimits limits_;
    int file_ = -1;
    std::vector<std::int64_t> offsets_;
    std::vector<std::int32_t> trained_;
    TokenColumn tokens_, segments_;
    ColumnInfo const *source_files_ = nullptr, *source_lines_ = nullptr; ///< both or none
    std::vector<TokenColumn> token_columns_; ///< columns of the task with a value per token
    std::vector<SampleColumn<std::int32_t>> labels_;
    std::vector<SampleColumn<float>> reals_;
};

} // namespace trireme::data
