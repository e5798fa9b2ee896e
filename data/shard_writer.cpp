#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/hdf5.hpp"
#include "data/shard.hpp"
#include "data/token_weights.hpp"

namespace trireme::data {

namespace {

/// How values of a type are called and stored.
template <typename T>
struct Stored;
template <>
struct Stored<std::int32_t> {
    static constexpr char const* name = "int32";
    static hid_t type() { return H5T_STD_I32LE; }
};
template <>
struct Stored<std::int64_t> {
    static constexpr char const* name = "int64";
    static hid_t type() { return H5T_STD_I64LE; }
};
template <>
struct Stored<float> {
    static constexpr char const* name = "float32";
    static hid_t type() { return H5T_IEEE_F32LE; }
};

/// The datasets of a shard, and what the manifest is to say of them.
class ColumnWriter {
  public:
    ColumnWriter(hid_t file, std::string path) : file_(file), path_(std::move(path)) {}

    template <typename T>
    void write(std::string const& name, std::vector<T> const& data, std::size_t width = 1) {
        std::size_t const rows = data.size() / width;
        std::vector<hsize_t> shape{rows};
        if (width > 1) shape.push_back(width);
        H5 set = create_contiguous(file_, path_, "/columns/" + name, Stored<T>::type(), shape);
        if (!data.empty()) write_rows(set, path_, 0, static_cast<std::int64_t>(rows), data.data());
        auto const offset = data.empty() ? 0 : static_cast<std::int64_t>(H5Dget_offset(set));
        // A small dataset is written only now, and a full disk must be reported.
        set.close_now(path_);
        columns_.push_back({name, Stored<T>::name, static_cast<std::int64_t>(data.size()), offset,
                            cluster::xxh3_hex(data.data(), data.size() * sizeof(T))});
    }

    /// A per-token column. `of` gives a sample's part; one that is empty is zeros.
    template <typename Of>
    void write_ragged(std::string const& name, std::vector<Sample> const& samples, Of const& of,
                      std::size_t width = 1) {
        std::vector<std::int32_t> all;
        std::vector<std::int64_t> ends{0};
        for (auto const& s : samples) {
            std::vector<std::int32_t> const& part = of(s);
            all.insert(all.end(), part.begin(), part.end());
            ends.push_back(ends.back() + static_cast<std::int64_t>(s.tokens.size()));
            all.resize(static_cast<std::size_t>(ends.back()) * width, 0);
        }
        write(name + "/offsets", ends);
        write(name + "/values", all, width);
    }
    /// A per-sample column of the task.
    template <typename Of>
    void write_entries(TaskColumn const& column, std::size_t width,
                       std::vector<Sample> const& samples, Of const& of) {
        std::decay_t<decltype(of(samples[0]))> all;
        for (auto const& s : samples) {
            auto const& part = of(s);
            all.insert(all.end(), part.begin(), part.end());
        }
        write(std::string(column.name) + "/values", all, width);
    }
    void describe(ShardAbout const& about) const {
        std::vector<std::string> names;
        for (auto const& c : columns_) names.push_back(c.name);
        write_format(file_, path_, "trireme-shard");
        write_attribute(file_, path_, "task", schema_of(about.task).name);
        write_attribute(file_, path_, "columns", names);
        if (!about.labels.empty() && fits_attribute(about.labels))
            write_attribute(file_, path_, "labels", about.labels);
    }
    std::vector<ColumnInfo> const& columns() const { return columns_; }

  private:
    hid_t file_;
    std::string path_;
    std::vector<ColumnInfo> columns_;
};

/// A sample's part of a column. Throws JobError if it has another number of values.
template <typename T>
std::vector<T> const& part_of(std::map<std::string, std::vector<T>> const& columns,
                              TaskColumn const& column, std::size_t values) {
    auto const found = columns.find(column.name);
    if (found == columns.end() || found->second.size() != values)
        throw cluster::JobError(fmt::format("a sample has {} values in column {}: legal: {}",
                                            found == columns.end() ? 0 : found->second.size(),
                                            column.name, values));
    return found->second;
}

void write_task_columns(ColumnWriter& writer, Per per, std::vector<Sample> const& samples,
                        ShardAbout const& about) {
    auto const labels = static_cast<std::int64_t>(about.labels.size());
    for (auto const& column : schema_of(about.task).columns) {
        if (column.per != per) continue;
        auto const width = static_cast<std::size_t>(column.width_for(labels));
        if (per == Per::token) {
            writer.write_ragged(
                column.name, samples,
                [&](Sample const& s) -> auto const& {
                    return part_of(s.labels, column, s.tokens.size() * width);
                },
                width);
            continue;
        }
        if (column.values == Values::reals)
            writer.write_entries(
                column, width, samples, [&](Sample const& s) -> auto const& {
                    return part_of(s.reals, column, width);
                });
        else
            writer.write_entries(
                column, width, samples, [&](Sample const& s) -> auto const& {
                    return part_of(s.labels, column, width);
                });
    }
}

/// Samples that all have equal weights have no such column.
void write_weights(ColumnWriter& writer, std::vector<Sample> const& samples,
                   TaskSchema const& task) {
    if (!has_token_weights(task)) return;
    auto const weighted = [](Sample const& s) { return s.labels.contains(kTokenWeights.name); };
    if (std::ranges::none_of(samples, weighted)) return;
    writer.write_ragged(kTokenWeights.name, samples, [&](Sample const& s) {
        return weighted(s) ? part_of(s.labels, kTokenWeights, s.tokens.size())
                           : equal_weights(s.labels.at(kTokenLabels.name));
    });
}

/// Samples that were made in memory come from nowhere, and their shard has no such columns.
void write_sources(ColumnWriter& writer, std::vector<Sample> const& samples) {
    if (std::ranges::any_of(samples, [](Sample const& s) { return s.source.file < 0; })) return;
    std::vector<std::int32_t> files;
    std::vector<std::int64_t> lines;
    for (auto const& s : samples) {
        files.push_back(s.source.file);
        lines.push_back(s.source.line);
    }
    writer.write("source_file/values", files);
    writer.write("source_line/values", lines);
}

} // namespace

std::int64_t Sample::trained(TaskSchema const& task) const {
    auto const count = [](auto const& columns, TaskColumn const& column) -> std::int64_t {
        auto const found = columns.find(column.name);
        if (found == columns.end() || !column.learned) return 0;
        return std::ranges::count_if(found->second, [](auto value) { return counts(value); });
    };
    std::int64_t sum = 0;
    for (auto const& column : task.columns)
        sum += column.values == Values::reals ? count(reals, column) : count(labels, column);
    return sum;
}

namespace {

void add_counts(std::vector<Sample> const& samples, ShardInfo& info) {
    for (auto const& s : samples) {
        auto const length = static_cast<std::int64_t>(s.tokens.size());
        info.tokens += length;
        info.longest = std::max(info.longest, length);
        for (auto const segment : s.segments)
            info.segments = std::max<std::int64_t>(info.segments, segment + 1);
    }
}

/// Writes the file at `staging`; `path`: what errors call it.
auto write_columns(std::string const& staging, std::string const& path,
                   std::vector<Sample> const& samples, ShardAbout const& about) {
    TaskSchema const& task = schema_of(about.task);
    std::vector<std::int32_t> trained;
    for (auto const& s : samples) trained.push_back(static_cast<std::int32_t>(s.trained(task)));
    bool const segmented =
        std::ranges::any_of(samples, [](auto const& s) { return !s.segments.empty(); });
    std::lock_guard const lock(hdf5_mutex());
    H5 const h5 = create_h5(staging);
    ColumnWriter writer(h5, path);
    writer.write_ragged(
        "tokens", samples, [](auto const& s) -> auto& { return s.tokens; });
    if (segmented)
        writer.write_ragged(
            "segments", samples, [](auto const& s) -> auto& { return s.segments; });
    write_task_columns(writer, Per::token, samples, about);
    write_weights(writer, samples, task);
    writer.write("trained/values", trained);
    write_task_columns(writer, Per::sample, samples, about);
    write_sources(writer, samples);
    writer.describe(about);
    flush_h5(h5, path);
    return writer.columns();
}

} // namespace

ShardInfo write_shard(std::string const& directory, std::string const& file,
                      std::vector<Sample> const& samples, ShardAbout const& about) {
    std::string const path = directory + "/" + file, staging = path + ".partial";
    ShardInfo info{.file = file, .samples = static_cast<std::int64_t>(samples.size())};
    add_counts(samples, info);
    info.columns = write_columns(staging, path, samples, about);
    info.xxh3 = cluster::xxh3_of_file(staging);
    info.bytes = static_cast<std::int64_t>(std::filesystem::file_size(staging));
    cluster::commit_file(staging, path);
    return info;
}

} // namespace trireme::data
