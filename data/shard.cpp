#include "data/shard.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/hdf5.hpp"

namespace trireme::data {

namespace {

constexpr std::size_t kMostLabelBytes = 32 << 10; ///< HDF5 keeps an attribute in 64 KiB

template <typename T>
constexpr char const* kDtype = sizeof(T) == 4 ? "int32" : "int64";

/// The datasets of a shard, and what the manifest is to say of them.
class ColumnWriter {
  public:
    ColumnWriter(hid_t file, std::string path) : file_(file), path_(std::move(path)) {}

    template <typename T>
    void write(std::string const& name, std::vector<T> const& data) {
        hid_t const stored = sizeof(T) == 4 ? H5T_STD_I32LE : H5T_STD_I64LE;
        H5 set = create_contiguous(file_, path_, "/columns/" + name, stored, {data.size()});
        if (!data.empty()) write_range(set, path_, stored, 0, data.size(), data.data());
        auto const offset = data.empty() ? 0 : static_cast<std::int64_t>(H5Dget_offset(set));
        set.close_now(path_); // a small dataset is written only now, and a full disk must be heard
        columns_.push_back({name, kDtype<T>, static_cast<std::int64_t>(data.size()), offset,
                            cluster::xxh3_hex(data.data(), data.size() * sizeof(T))});
    }

    /// A per-token column; left out if no sample has it.
    void write_ragged(std::string const& name, std::vector<std::int32_t> Sample::*column,
                      std::vector<Sample> const& samples) {
        bool const present =
            column == &Sample::tokens ||
            std::ranges::any_of(samples, [&](auto const& s) { return !(s.*column).empty(); });
        if (!present) return;
        std::vector<std::int32_t> all;
        std::vector<std::int64_t> ends{0};
        for (auto const& s : samples) {
            auto const& part = s.*column;
            all.insert(all.end(), part.begin(), part.end());
            // segments left out are zeros
            all.resize(static_cast<std::size_t>(ends.back()) + s.tokens.size(), 0);
            ends.push_back(static_cast<std::int64_t>(all.size()));
        }
        write(name + "/offsets", ends);
        write(name + "/values", all);
    }
    void describe(ShardAbout const& about) const {
        std::vector<std::string> names;
        std::size_t bytes = 0;
        for (auto const& c : columns_) names.push_back(c.name);
        // HDF5 refers to each by as many bytes
        for (auto const& label : about.labels) bytes += label.size() + 16;
        write_attribute(file_, path_, "format", "trireme-shard");
        write_attribute(file_, path_, "version", "1");
        write_attribute(file_, path_, "task", about.task);
        write_attribute(file_, path_, "columns", names);
        if (!about.labels.empty() && bytes <= kMostLabelBytes)
            write_attribute(file_, path_, "labels", about.labels);
    }
    std::vector<ColumnInfo> const& columns() const { return columns_; }

  private:
    hid_t file_;
    std::string path_;
    std::vector<ColumnInfo> columns_;
};

} // namespace

ShardInfo write_shard(std::string const& directory, std::string const& file,
                      std::vector<Sample> const& samples, ShardAbout const& about) {
    std::string const path = directory + "/" + file, staging = path + ".partial";
    ShardInfo info{.file = file, .samples = static_cast<std::int64_t>(samples.size())};
    std::vector<std::int32_t> trained, labels;
    for (auto const& s : samples) {
        auto const length = static_cast<std::int64_t>(s.tokens.size());
        info.tokens += length;
        info.longest = std::max(info.longest, length);
        for (auto const segment : s.segments)
            info.segments = std::max<std::int64_t>(info.segments, segment + 1);
        auto const counted =
            std::ranges::count_if(s.token_labels, [](auto l) { return l != kIgnoredLabel; });
        trained.push_back(static_cast<std::int32_t>(counted) + (s.label != kIgnoredLabel ? 1 : 0));
        labels.push_back(s.label);
    }
    {
        std::lock_guard const lock(hdf5_mutex());
        H5 const h5 = create_h5(staging);
        ColumnWriter writer(h5, path);
        writer.write_ragged("tokens", &Sample::tokens, samples);
        writer.write_ragged("segments", &Sample::segments, samples);
        writer.write_ragged("token_labels", &Sample::token_labels, samples);
        writer.write("trained/values", trained);
        if (std::ranges::any_of(labels, [](auto l) { return l != kIgnoredLabel; }))
            writer.write("label/values", labels);
        writer.describe(about);
        flush_h5(h5, path);
        info.columns = writer.columns();
    }
    info.xxh3 = cluster::xxh3_of_file(staging);
    info.bytes = static_cast<std::int64_t>(std::filesystem::file_size(staging));
    cluster::commit_file(staging, path);
    return info;
}

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
    tokens_ = {"token", find("tokens/values", "int32", t, false), limits_.vocabulary, false};
    segments_ = {"segment", find("segments/values", "int32", t, true), expected_->segments, false};
    token_labels_ = {"token label", find("token_labels/values", "int32", t, true),
                     limits_.vocabulary, true};
    offsets_ = read_column<std::int64_t>(*find("tokens/offsets", "int64", n + 1, false));
    trained_ = read_column<std::int32_t>(*find("trained/values", "int32", n, false));
    if (auto const* label = find("label/values", "int32", n, true))
        labels_ = read_column<std::int32_t>(*label);
    check_offsets();
    check_labels();
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
    if (longest != expected_->longest) // what memory is taken for
        throw cluster::InputError(
            fmt::format("{}: the longest sample has {} tokens: legal: {}, as the manifest says",
                        path_, longest, expected_->longest));
}

void Shard::check_labels() const {
    for (std::size_t i = 0; i < labels_.size(); ++i)
        if (labels_[i] != kIgnoredLabel && (labels_[i] < 0 || labels_[i] >= limits_.classes))
            throw cluster::InputError(
                fmt::format("{}: sample {}: label {}: legal: 0 to {}, the labels of the manifest",
                            path_, i, labels_[i], limits_.classes - 1));
    // A loss counts on these before it has seen a label.
    for (std::int64_t i = 0; i < size(); ++i) {
        std::int64_t const most = (token_labels_.column ? length(i) : 0) +
                                  (!labels_.empty() && at(labels_, i) != kIgnoredLabel ? 1 : 0);
        if (trained(i) < 0 || trained(i) > most)
            throw cluster::InputError(fmt::format("{}: sample {}: trained {}: legal: 0 to {}",
                                                  path_, i, trained(i), most));
    }
}

void Shard::check_numbers(TokenColumn const& tokens) const {
    if (!tokens.column) return;
    constexpr std::int64_t kPiece = 1 << 18;
    std::vector<std::int32_t> values;
    cluster::Xxh3 hash;
    std::int64_t sample = 0;
    for (std::int64_t first = 0; first < expected_->tokens; first += kPiece) {
        values.resize(static_cast<std::size_t>(std::min(kPiece, expected_->tokens - first)));
        read(tokens.column->offset + first * 4, static_cast<std::int64_t>(values.size()) * 4,
             values.data());
        hash.update(values.data(), values.size() * 4);
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (tokens.legal(values[i])) continue;
            while (at(offsets_, sample + 1) <= first + static_cast<std::int64_t>(i)) ++sample;
            throw cluster::InputError(
                fmt::format("{}: sample {}: {} {}: legal: 0 to {}, the {} of the manifest", path_,
                            sample, tokens.what, values[i], tokens.below - 1,
                            &tokens == &segments_ ? "segments" : "vocabulary"));
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
      trained_(std::move(other.trained_)), labels_(std::move(other.labels_)),
      tokens_(other.tokens_), segments_(other.segments_), token_labels_(other.token_labels_) {}

void Shard::read(std::int64_t from, std::int64_t bytes, void* to) const {
    auto* out = static_cast<char*>(to);
    while (bytes > 0) {
        ssize_t const n = pread(file_, out, static_cast<std::size_t>(bytes), from);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            throw cluster::JobError(fmt::format("{}: reading {} bytes at {}: {}", path_, bytes,
                                                from, n ? std::strerror(errno) : "end of file"));
        out += n;
        from += n;
        bytes -= n;
    }
}

void Shard::append_tokens(TokenColumn const& tokens, std::int64_t i,
                          std::vector<std::int32_t>& to) const {
    auto const old = to.size();
    to.resize(old + static_cast<std::size_t>(length(i)));
    read(tokens.column->offset + at(offsets_, i) * 4, length(i) * 4, to.data() + old);
    // A table is read at these places: the file may have been changed since it was verified.
    for (std::size_t t = old; t < to.size(); ++t)
        if (!tokens.legal(to[t]))
            throw cluster::JobError(
                fmt::format("{}: sample {}: {} {}: the file was changed after it was checked",
                            path_, i, tokens.what, to[t]));
}

void Shard::append(std::int64_t i, Slot& slot) const {
    append_tokens(tokens_, i, slot.tokens);
    if (segments_.column)
        append_tokens(segments_, i, slot.segments);
    else
        slot.segments.resize(slot.tokens.size(), 0);
    if (token_labels_.column) append_tokens(token_labels_, i, slot.token_labels);
    if (!labels_.empty()) slot.sample_labels.push_back(at(labels_, i));
    for (std::int64_t t = 0; t < length(i); ++t)
        slot.positions.push_back(static_cast<std::int32_t>(t));
    slot.offsets.push_back(slot.token_count());
}

void Shard::verify() const {
    if (cluster::xxh3_of_file(path_) != expected_->xxh3)
        throw cluster::InputError(
            path_ + ": content does not match the hash in the manifest; prepare the data again");
    for (auto const* tokens : {&tokens_, &segments_, &token_labels_}) check_numbers(*tokens);
}

} // namespace trireme::data
