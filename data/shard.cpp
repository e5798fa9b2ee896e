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

std::string values(std::string const& column) {
    return "/columns/" + column + "/values";
}
std::string offsets(std::string const& column) {
    return "/columns/" + column + "/offsets";
}

template <typename T>
void write_all(hid_t file, std::string const& path, std::string const& name, hid_t stored, std::vector<T> const& data) {
    H5 set = create_contiguous(file, path, name, stored, {data.size()});
    if (!data.empty()) write_range(set, path, stored, 0, data.size(), data.data());
    set.close_now(path); // a small dataset is written only now, and a full disk must be heard
}

using TokenColumn = std::vector<std::int32_t> Sample::*;

/// A per-token column; left out if no sample has it.
void write_ragged(hid_t file, std::string const& path, std::string const& name, TokenColumn column,
                  std::vector<Sample> const& samples) {
    bool const present =
        column == &Sample::tokens || std::ranges::any_of(samples, [&](auto const& s) { return !(s.*column).empty(); });
    if (!present) return;
    std::vector<std::int32_t> all;
    std::vector<std::int64_t> ends{0};
    for (auto const& s : samples) {
        auto const& part = s.*column;
        all.insert(all.end(), part.begin(), part.end());
        all.resize(static_cast<std::size_t>(ends.back()) + s.tokens.size(), 0); // segments left out are zeros
        ends.push_back(static_cast<std::int64_t>(all.size()));
    }
    write_all(file, path, offsets(name), H5T_STD_I64LE, ends);
    write_all(file, path, values(name), H5T_STD_I32LE, all);
}

} // namespace

ShardInfo write_shard(std::string const& directory, std::string const& file, std::vector<Sample> const& samples) {
    std::string const path = directory + "/" + file, staging = path + ".partial";
    ShardInfo info{.file = file, .samples = static_cast<std::int64_t>(samples.size())};
    std::vector<std::int32_t> trained, labels;
    for (auto const& s : samples) {
        auto const length = static_cast<std::int64_t>(s.tokens.size());
        info.tokens += length;
        info.longest = std::max(info.longest, length);
        auto const counted = std::ranges::count_if(s.token_labels, [](auto l) { return l != kIgnoredLabel; });
        trained.push_back(static_cast<std::int32_t>(counted) + (s.label != kIgnoredLabel ? 1 : 0));
        labels.push_back(s.label);
    }
    {
        std::lock_guard const lock(hdf5_mutex());
        H5 const h5 = create_h5(staging);
        write_ragged(h5, path, "tokens", &Sample::tokens, samples);
        write_ragged(h5, path, "segments", &Sample::segments, samples);
        write_ragged(h5, path, "token_labels", &Sample::token_labels, samples);
        write_all(h5, path, values("trained"), H5T_STD_I32LE, trained);
        if (std::ranges::any_of(labels, [](auto l) { return l != kIgnoredLabel; }))
            write_all(h5, path, values("label"), H5T_STD_I32LE, labels);
        flush_h5(h5, path);
    }
    info.xxh3 = cluster::xxh3_of_file(staging);
    info.bytes = static_cast<std::int64_t>(std::filesystem::file_size(staging));
    cluster::commit_file(staging, path);
    return info;
}

Shard::Shard(std::string const& directory, ShardInfo const& expected, ShardLimits const& limits)
    : path_(cluster::listed_file(directory, expected.file)), expected_(expected), limits_(limits) {
    if (std::int64_t const bytes = cluster::readable_size(path_); bytes != expected.bytes)
        throw cluster::InputError(
            fmt::format("{}: {} bytes, the manifest says {}; prepare the data again", path_, bytes, expected.bytes));
    file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0) throw cluster::InputError(path_ + ": " + std::strerror(errno));
    try {
        find_columns();
    } catch (cluster::JobError const& damage) {
        throw cluster::InputError(std::string(damage.what()) + "; the file is damaged, prepare the data again");
    }
}

void Shard::find_columns() {
    std::lock_guard const lock(hdf5_mutex());
    H5 const h5 = open_h5(path_);
    auto const place = [&](std::string const& name, hid_t type, std::int64_t elements) {
        Extent const extent = extent_of(h5, path_, name, type);
        auto const bytes = elements * static_cast<std::int64_t>(H5Tget_size(type));
        if (extent.count != elements || extent.offset > expected_.bytes - bytes)
            throw cluster::InputError(
                fmt::format("{}: {}: {} elements: legal: the {} of the manifest; prepare the data again", path_, name,
                            extent.count, elements));
        return extent.offset;
    };
    auto const if_there = [&](char const* column, std::int64_t elements) {
        return has_object(h5, values(column)) ? place(values(column), H5T_STD_I32LE, elements) : -1;
    };
    std::int64_t const n = expected_.samples;
    tokens_at_ = place(values("tokens"), H5T_STD_I32LE, expected_.tokens);
    segments_at_ = if_there("segments", expected_.tokens);
    token_labels_at_ = if_there("token_labels", expected_.tokens);
    std::int64_t const trained_at = place(values("trained"), H5T_STD_I32LE, n), label_at = if_there("label", n),
                       ends_at = place(offsets("tokens"), H5T_STD_I64LE, n + 1);
    offsets_.resize(static_cast<std::size_t>(n) + 1);
    trained_.resize(static_cast<std::size_t>(n));
    labels_.resize(label_at < 0 ? 0 : static_cast<std::size_t>(n));
    read(ends_at, (n + 1) * 8, offsets_.data());
    read(trained_at, n * 4, trained_.data());
    read(label_at, static_cast<std::int64_t>(labels_.size()) * 4, labels_.data());
    check_labels();
    bool const ascending =
        std::ranges::is_sorted(offsets_) && offsets_.front() == 0 && offsets_.back() == expected_.tokens;
    if (!ascending)
        throw cluster::InputError(path_ +
                                  ": /columns/tokens/offsets: not ascending to the token count of the manifest");
}

void Shard::check_labels() const {
    for (std::size_t i = 0; i < labels_.size(); ++i)
        if (labels_[i] != kIgnoredLabel && (labels_[i] < 0 || labels_[i] >= limits_.classes))
            throw cluster::InputError(fmt::format("{}: sample {}: label {}: legal: 0 to {}, the labels of the manifest",
                                                  path_, i, labels_[i], limits_.classes - 1));
    // What a loss counts on before it has seen a label.
    std::int64_t const most = token_labels_at_ < 0 ? 1 : expected_.longest + 1;
    for (std::size_t i = 0; i < trained_.size(); ++i)
        if (trained_[i] < 0 || trained_[i] > most)
            throw cluster::InputError(
                fmt::format("{}: sample {}: trained {}: legal: 0 to {}", path_, i, trained_[i], most));
}

void Shard::check_tokens(std::int64_t base, char const* column, bool may_be_ignored) const {
    constexpr std::int64_t kPiece = 1 << 18;
    std::vector<std::int32_t> tokens;
    for (std::int64_t first = 0; first < expected_.tokens; first += kPiece) {
        tokens.resize(static_cast<std::size_t>(std::min(kPiece, expected_.tokens - first)));
        read(base + first * 4, static_cast<std::int64_t>(tokens.size()) * 4, tokens.data());
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            if (may_be_ignored && tokens[i] == kIgnoredLabel) continue;
            if (tokens[i] >= 0 && tokens[i] < limits_.vocabulary) continue;
            auto const sample =
                std::ranges::upper_bound(offsets_, first + static_cast<std::int64_t>(i)) - offsets_.begin() - 1;
            throw cluster::InputError(
                fmt::format("{}: sample {}: {} {}: legal: 0 to {}, the vocabulary of the manifest", path_, sample,
                            column, tokens[i], limits_.vocabulary - 1));
        }
    }
}

Shard::~Shard() {
    if (file_ >= 0) close(file_);
}
Shard::Shard(Shard&& other) noexcept
    : path_(std::move(other.path_)), expected_(std::move(other.expected_)), limits_(other.limits_),
      file_(std::exchange(other.file_, -1)), offsets_(std::move(other.offsets_)), trained_(std::move(other.trained_)),
      labels_(std::move(other.labels_)), tokens_at_(other.tokens_at_), segments_at_(other.segments_at_),
      token_labels_at_(other.token_labels_at_) {}

void Shard::read(std::int64_t from, std::int64_t bytes, void* to) const {
    auto* out = static_cast<char*>(to);
    while (bytes > 0) {
        ssize_t const n = pread(file_, out, static_cast<std::size_t>(bytes), from);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            throw cluster::JobError(fmt::format("{}: reading {} bytes at {}: {}", path_, bytes, from,
                                                n ? std::strerror(errno) : "end of file"));
        out += n;
        from += n;
        bytes -= n;
    }
}

void Shard::append_tokens(std::int64_t base, std::int64_t i, std::vector<std::int32_t>& to) const {
    auto const old = to.size();
    to.resize(old + static_cast<std::size_t>(length(i)));
    read(base + at(offsets_, i) * 4, length(i) * 4, to.data() + old);
}

void Shard::append(std::int64_t i, Slot& slot) const {
    append_tokens(tokens_at_, i, slot.tokens);
    if (segments_at_ >= 0)
        append_tokens(segments_at_, i, slot.segments);
    else
        slot.segments.resize(slot.tokens.size(), 0);
    if (token_labels_at_ >= 0) append_tokens(token_labels_at_, i, slot.token_labels);
    if (!labels_.empty()) slot.sample_labels.push_back(at(labels_, i));
    for (std::int64_t t = 0; t < length(i); ++t) slot.positions.push_back(static_cast<std::int32_t>(t));
    slot.offsets.push_back(slot.token_count());
}

void Shard::verify() const {
    if (cluster::xxh3_of_file(path_) != expected_.xxh3)
        throw cluster::InputError(path_ + ": content does not match the hash in the manifest; prepare the data again");
    check_tokens(tokens_at_, "token", false);
    if (token_labels_at_ >= 0) check_tokens(token_labels_at_, "token label", true);
}

} // namespace trireme::data
