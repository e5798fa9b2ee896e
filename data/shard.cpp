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
    H5 const set = create_contiguous(file, path, name, stored, {data.size()});
    if (!data.empty()) write_range(set, path, stored, 0, data.size(), data.data());
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
    }
    info.xxh3 = cluster::xxh3_of_file(staging);
    info.bytes = static_cast<std::int64_t>(std::filesystem::file_size(staging));
    cluster::commit_file(staging, path);
    return info;
}

Shard::Shard(std::string const& path, ShardInfo const& expected) : path_(path), expected_(expected) {
    std::error_code error;
    auto const bytes = std::filesystem::file_size(path, error);
    if (error) throw cluster::InputError(path + ": " + error.message() + "; the manifest lists it");
    if (static_cast<std::int64_t>(bytes) != expected.bytes)
        throw cluster::InputError(
            fmt::format("{}: {} bytes, the manifest says {}; prepare the data again", path, bytes, expected.bytes));
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0) throw cluster::InputError(path + ": " + std::strerror(errno));
    try {
        find_columns();
    } catch (cluster::JobError const& damage) {
        throw cluster::InputError(std::string(damage.what()) + "; the file is damaged, prepare the data again");
    }
}

void Shard::find_columns() {
    std::lock_guard const lock(hdf5_mutex());
    H5 const h5 = open_h5(path_);
    auto const place = [&](char const* name) {
        return has_object(h5, values(name)) ? extent_of(h5, path_, values(name), H5T_STD_I32LE) : Extent{-1, 0};
    };
    tokens_at_ = extent_of(h5, path_, values("tokens"), H5T_STD_I32LE).offset;
    segments_at_ = place("segments").offset;
    token_labels_at_ = place("token_labels").offset;
    Extent const trained = extent_of(h5, path_, values("trained"), H5T_STD_I32LE), label = place("label");
    Extent const ends = extent_of(h5, path_, offsets("tokens"), H5T_STD_I64LE);
    std::int64_t const n = expected_.samples;
    if (ends.count != n + 1 || trained.count != n || (label.count && label.count != n))
        throw cluster::InputError(fmt::format("{}: columns do not hold the {} samples of the manifest", path_, n));
    offsets_.resize(static_cast<std::size_t>(n) + 1);
    trained_.resize(static_cast<std::size_t>(n));
    labels_.resize(static_cast<std::size_t>(label.count));
    read(ends.offset, ends.count * 8, offsets_.data());
    read(trained.offset, n * 4, trained_.data());
    read(label.offset, label.count * 4, labels_.data());
    bool const ascending =
        std::ranges::is_sorted(offsets_) && offsets_.front() == 0 && offsets_.back() == expected_.tokens;
    if (!ascending)
        throw cluster::InputError(path_ +
                                  ": /columns/tokens/offsets: not ascending to the token count of the manifest");
}

Shard::~Shard() {
    if (file_ >= 0) close(file_);
}
Shard::Shard(Shard&& other) noexcept
    : path_(std::move(other.path_)), expected_(std::move(other.expected_)), file_(std::exchange(other.file_, -1)),
      offsets_(std::move(other.offsets_)), trained_(std::move(other.trained_)), labels_(std::move(other.labels_)),
      tokens_at_(other.tokens_at_), segments_at_(other.segments_at_), token_labels_at_(other.token_labels_at_) {}

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
}

} // namespace trireme::data
