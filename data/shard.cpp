#include "data/shard.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <span>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/read_at.hpp"
#include "cluster/xxh3.hpp"
#include "data/pieces.hpp"
#include "data/token_weights.hpp"

namespace trireme::data {

Shard::Shard(std::string const& directory, ShardInfo const& expected, ShardLimits const& limits)
    : path_(cluster::listed_file(directory, expected.file)),
      expected_(std::make_unique<ShardInfo const>(expected)), limits_(limits) {
    if (std::int64_t const bytes = cluster::readable_size(path_); bytes != expected.bytes)
        throw cluster::InputError(
            fmt::format("{}: {} bytes, the manifest says {}; prepare the data again", path_, bytes,
                        expected.bytes));
    file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file_ < 0) throw cluster::InputError(path_ + ": " + std::strerror(errno));
    try {
        read_columns();
    } catch (cluster::JobError const& damage) {
        close(std::exchange(file_, -1));
        throw cluster::InputError(std::string(damage.what()) +
                                  "; the file is damaged, prepare the data again");
    } catch (...) { // no destructor runs after a constructor that throws
        close(std::exchange(file_, -1));
        throw;
    }
}

ColumnInfo const* Shard::find(std::string const& name, char const* dtype, std::int64_t elements,
                              bool optional) const {
    auto const found = std::ranges::find(expected_->columns, name, &ColumnInfo::name);
    if (found == expected_->columns.end()) {
        if (optional) return nullptr;
        throw cluster::InputError(
            fmt::format("{}: column {}: missing; prepare the data again", expected_->file, name));
    }
    std::int64_t const size = found->dtype == "int64" ? 8 : 4;
    // Divided, since a product of what a file says may overflow.
    bool const inside =
        found->offset <= expected_->bytes && elements <= (expected_->bytes - found->offset) / size;
    if (found->dtype != dtype || found->elements != elements || !inside)
        throw cluster::InputError(
            fmt::format("{}: column {}: {} elements of {} at {}: legal: {} of {} inside the {} "
                        "bytes of the file; prepare the data "
                        "again",
                        expected_->file, name, found->elements, found->dtype, found->offset,
                        elements, dtype, expected_->bytes));
    return &*found;
}

template <typename T>
std::vector<T> Shard::read_column(ColumnInfo const& column) const {
    std::vector<T> all(static_cast<std::size_t>(column.elements));
    auto const bytes = static_cast<std::int64_t>(all.size() * sizeof(T));
    read(column.offset, bytes, all.data());
    if (cluster::xxh3_hex(all.data(), static_cast<std::size_t>(bytes)) != column.xxh3)
        throw cluster::InputError(fmt::format("{}: content does not match the hash of column {} in "
                                              "the manifest; prepare the data again",
                                              path_, column.name));
    return all;
}

void Shard::read_columns() {
    std::int64_t const n = expected_->samples, t = expected_->tokens;
    tokens_ = {{"token", "vocabulary of the manifest", limits_.vocabulary},
               find("tokens/values", "int32", t, false)};
    segments_ = {{"segment", "segments of the manifest", expected_->segments},
                 find("segments/values", "int32", t, true)};
    offsets_ = read_column<std::int64_t>(*find("tokens/offsets", "int64", n + 1, false));
    trained_ = read_column<std::int32_t>(*find("trained/values", "int32", n, false));
    source_files_ = find("source_file/values", "int32", n, true);
    if (source_files_) source_lines_ = find("source_line/values", "int64", n, false);
    TaskSchema const& task = schema_of(limits_.task);
    for (auto const& column : task.columns) read_task_column(column);
    if (auto const* const weights =
            find(std::string(kTokenWeights.name) + "/values", "int32", t, true);
        weights && has_token_weights(task))
        token_columns_.push_back({range_of(kTokenWeights, 0), weights, &kTokenWeights});
    check_offsets();
    for (auto const& column : labels_) check_labels(column);
    for (auto const& column : reals_) check_reals(column);
    check_trained();
}

void Shard::read_task_column(TaskColumn const& column) {
    std::string const name = std::string(column.name) + "/values";
    if (column.per == Per::token) { // the tokens of a manifest are bounded, so is the product
        token_columns_.push_back({range_of(column, expected_->longest),
                                  find(name, "int32", expected_->tokens * column.width, false),
                                  &column, column.width});
        return;
    }
    std::int64_t const width = column.width_for(limits_.labels), n = expected_->samples;
    std::int64_t const elements =
        n > INT64_MAX / std::max<std::int64_t>(1, width) ? INT64_MAX : n * width;
    if (column.values == Values::reals)
        reals_.push_back(
            {&column, width, read_column<float>(*find(name, "float32", elements, false))});
    else
        labels_.push_back(
            {&column, width, read_column<std::int32_t>(*find(name, "int32", elements, false))});
}

Shard::~Shard() {
    if (file_ >= 0) close(file_);
}
Shard::Shard(Shard&& other) noexcept
    : path_(std::move(other.path_)), expected_(std::move(other.expected_)), limits_(other.limits_),
      file_(std::exchange(other.file_, -1)), offsets_(std::move(other.offsets_)),
      trained_(std::move(other.trained_)), tokens_(other.tokens_), segments_(other.segments_),
      source_files_(other.source_files_), source_lines_(other.source_lines_),
      token_columns_(std::move(other.token_columns_)), labels_(std::move(other.labels_)),
      reals_(std::move(other.reals_)) {}

void Shard::read(std::int64_t from, std::int64_t bytes, void* to) const {
    std::int64_t const got = cluster::read_at(file_, to, from, bytes);
    if (got < bytes)
        throw cluster::JobError(
            fmt::format("{}: {} bytes at {} cannot be read: {}", path_, bytes, from,
                        got < 0 ? std::strerror(errno)
                                : "the file ends before them; it was cut after it was checked"));
}

void Shard::append_tokens(TokenColumn const& tokens, std::int64_t i,
                          std::vector<std::int32_t>& to) const {
    auto const old = to.size();
    std::int64_t const values = length(i) * tokens.width;
    to.resize(old + static_cast<std::size_t>(values));
    read(tokens.column->offset + at(offsets_, i) * tokens.width * 4, values * 4, to.data() + old);
    // A table is read at these places: the file may have been changed since it was verified.
    for (std::size_t t = old; t < to.size(); ++t)
        if (!tokens.range.legal(to[t]))
            throw cluster::JobError(
                fmt::format("{}: sample {}: {} {}: the file was changed after it was checked",
                            path_, i, tokens.range.what, to[t]));
}

void Shard::append(std::int64_t i, MicroBatch& micro_batch) const {
    append_tokens(tokens_, i, micro_batch.tokens);
    if (segments_.column)
        append_tokens(segments_, i, micro_batch.segments);
    else
        micro_batch.segments.resize(micro_batch.tokens.size(), 0);
    std::vector<std::int32_t> weights;
    for (auto const& column : token_columns_) {
        std::vector<std::int32_t> values;
        append_tokens(column, i, values);
        if (std::string_view(column.task->name) == kTokenWeights.name)
            weights = std::move(values);
        else
            micro_batch.columns.append(*column.task, column.width, values);
    }
    if (has_token_weights(schema_of(limits_.task))) append_weights(weights, micro_batch);
    auto const append_entry = [&](auto const& column) {
        auto const first = column.values.begin() + i * column.width;
        micro_batch.columns.append(*column.task, column.width,
                                   std::vector(first, first + column.width));
    };
    for (auto const& column : labels_) append_entry(column);
    for (auto const& column : reals_) append_entry(column);
    for (std::int64_t t = 0; t < length(i); ++t)
        micro_batch.positions.push_back(static_cast<std::int32_t>(t));
    micro_batch.offsets.push_back(micro_batch.token_count());
}

std::vector<std::int32_t> Shard::values_of(std::int64_t i, TaskColumn const& column) const {
    std::vector<std::int32_t> values;
    auto const is_asked = [&](auto const& own) {
        return std::string_view(own.task->name) == column.name;
    };
    if (auto const found = std::ranges::find_if(token_columns_, is_asked);
        found != token_columns_.end())
        append_tokens(*found, i, values);
    else if (auto const entry = std::ranges::find_if(labels_, is_asked); entry != labels_.end())
        values.assign(entry->values.begin() + i * entry->width,
                      entry->values.begin() + (i + 1) * entry->width);
    return values;
}

std::int32_t Shard::class_of(std::int64_t i) const {
    auto const found = std::ranges::find_if(
        labels_, [](auto const& column) { return column.task->name == kClassLabel.name; });
    return found == labels_.end() ? kIgnoredLabel : at(found->values, i);
}

Source Shard::source(std::int64_t i) const {
    Source source;
    if (!source_files_) return source;
    read(source_files_->offset + i * 4, 4, &source.file);
    read(source_lines_->offset + i * 8, 8, &source.line);
    if (source.file < 0 || source.file >= limits_.sources || source.line < 1)
        throw cluster::JobError(fmt::format(
            "{}: sample {}: source file {}, line {}: the file was changed after it was checked",
            path_, i, source.file, source.line));
    return source;
}

void Shard::check_sources() const {
    if (!source_files_) return;
    auto const files = read_column<std::int32_t>(*source_files_);
    auto const lines = read_column<std::int64_t>(*source_lines_);
    for (std::int64_t i = 0; i < size(); ++i)
        if (at(files, i) < 0 || at(files, i) >= limits_.sources || at(lines, i) < 1)
            throw cluster::InputError(
                fmt::format("{}: sample {}: source file {}, line {}: legal: 0 to {}, the sources "
                            "of the manifest, and 1 or more",
                            path_, i, at(files, i), at(lines, i), limits_.sources - 1));
}

void Shard::verify() const {
    if (cluster::xxh3_of_file(path_) != expected_->xxh3)
        throw cluster::InputError(
            path_ + ": content does not match the hash in the manifest; prepare the data again");
    for (auto const* tokens : {&tokens_, &segments_}) check_numbers(*tokens);
    for (auto const& tokens : token_columns_) check_numbers(tokens);
    check_sources();
}

} // namespace trireme::data
