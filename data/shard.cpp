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

Shard::Range Shard::range_of(TaskColumn const& column) const {
    switch (column.values) {
    case Values::vocabulary: return {column.what, "vocabulary", limits_.vocabulary, true};
    case Values::labels: return {column.what, "labels", limits_.labels, true};
    case Values::reals: break; // has no bounds
    }
    return {column.what};
}

void Shard::read_columns() {
    std::int64_t const n = expected_->samples, t = expected_->tokens;
    tokens_ = {{"token", "vocabulary", limits_.vocabulary},
               find("tokens/values", "int32", t, false)};
    segments_ = {{"segment", "segments", expected_->segments},
                 find("segments/values", "int32", t, true)};
    offsets_ = read_column<std::int64_t>(*find("tokens/offsets", "int64", n + 1, false));
    trained_ = read_column<std::int32_t>(*find("trained/values", "int32", n, false));
    source_files_ = find("source_file/values", "int32", n, true);
    if (source_files_) source_lines_ = find("source_line/values", "int64", n, false);
    for (auto const& column : schema_of(limits_.task).columns) read_task_column(column);
    check_offsets();
    for (auto const& column : labels_) check_labels(column);
    for (auto const& column : reals_) check_reals(column);
    check_trained();
}

void Shard::read_task_column(TaskColumn const& column) {
    std::string const name = std::string(column.name) + "/values";
    if (column.per == Per::token) {
        token_columns_.push_back(
            {range_of(column), find(name, "int32", expected_->tokens, false), &column});
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

void Shard::check_offsets() const {
    if (offsets_.front() != 0 || offsets_.back() != expected_->tokens)
        throw cluster::InputError(
            fmt::format("{}: tokens/offsets: from {} to {}: legal: from 0 to {}, the tokens of "
                        "the manifest",
                        path_, offsets_.front(), offsets_.back(), expected_->tokens));
    std::int64_t longest = 0;
    for (std::int64_t i = 0; i < size(); ++i) {
        if (at(offsets_, i + 1) <= at(offsets_, i))
            throw cluster::InputError(
                fmt::format("{}: sample {}: tokens from {} to {}: legal: one token or more", path_,
                            i, at(offsets_, i), at(offsets_, i + 1)));
        longest = std::max(longest, length(i));
    }
    if (longest != expected_->longest) // memory is taken for that many
        throw cluster::InputError(
            fmt::format("{}: the longest sample has {} tokens: legal: {}, as the manifest says",
                        path_, longest, expected_->longest));
}

void Shard::check_labels(SampleColumn<std::int32_t> const& column) const {
    Range const range = range_of(*column.task);
    for (std::size_t i = 0; i < column.values.size(); ++i)
        if (!range.legal(column.values[i]))
            throw cluster::InputError(
                fmt::format("{}: sample {}: {} {}: legal: 0 to {}, the {} of the manifest", path_,
                            static_cast<std::int64_t>(i) / column.width, range.what,
                            column.values[i], range.below - 1, range.of));
}

void Shard::check_reals(SampleColumn<float> const& column) const {
    for (std::size_t i = 0; i < column.values.size(); ++i)
        if (std::isinf(column.values[i]))
            throw cluster::InputError(fmt::format(
                "{}: sample {}: {} {}: legal: a finite number, or none", path_,
                static_cast<std::int64_t>(i) / column.width, column.task->what, column.values[i]));
}

/// A loss counts on these before it has seen a label.
void Shard::check_trained() const {
    auto const held = [](auto const& column, std::int64_t i) {
        auto const entry = std::span(column.values)
                               .subspan(static_cast<std::size_t>(i * column.width),
                                        static_cast<std::size_t>(column.width));
        return std::ranges::count_if(entry, [](auto v) { return counts(v); });
    };
    for (std::int64_t i = 0; i < size(); ++i) {
        std::int64_t most = length(i) * std::ssize(token_columns_);
        for (auto const& column : labels_) most += held(column, i);
        for (auto const& column : reals_) most += held(column, i);
        if (trained(i) < 0 || trained(i) > most)
            throw cluster::InputError(fmt::format("{}: sample {}: trained {}: legal: 0 to {}",
                                                  path_, i, trained(i), most));
    }
}

void Shard::check_numbers(TokenColumn const& tokens) const {
    if (!tokens.column) return;
    std::int64_t const piece = pieces.checked;
    std::vector<std::int32_t> values;
    cluster::Xxh3 hash;
    std::int64_t sample = 0;
    for (std::int64_t first = 0; first < expected_->tokens; first += piece) {
        values.resize(static_cast<std::size_t>(std::min(piece, expected_->tokens - first)));
        read(tokens.column->offset + first * 4, static_cast<std::int64_t>(values.size()) * 4,
             values.data());
        hash.update(values.data(), values.size() * 4);
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (tokens.range.legal(values[i])) continue;
            while (at(offsets_, sample + 1) <= first + static_cast<std::int64_t>(i)) ++sample;
            throw cluster::InputError(fmt::format(
                "{}: sample {}: {} {}: legal: 0 to {}, the {} of the manifest", path_, sample,
                tokens.range.what, values[i], tokens.range.below - 1, tokens.range.of));
        }
    }
    if (hash.hex() != tokens.column->xxh3)
        throw cluster::InputError(fmt::format("{}: content does not match the hash of column {} in "
                                              "the manifest; prepare the data again",
                                              path_, tokens.column->name));
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
    to.resize(old + static_cast<std::size_t>(length(i)));
    read(tokens.column->offset + at(offsets_, i) * 4, length(i) * 4, to.data() + old);
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
    for (auto const& column : token_columns_) {
        std::vector<std::int32_t> values;
        append_tokens(column, i, values);
        micro_batch.columns.append(*column.task, 1, values);
    }
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
