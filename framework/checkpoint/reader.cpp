#include "framework/checkpoint/reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/read_at.hpp"
#include "cluster/xxh3.hpp"

namespace trireme::framework::checkpoint {

namespace {

std::int64_t element_size(Tensor const& tensor) {
    return tensor.dtype == "f64" ? 8 : 4;
}

/// A run of elements that lie together both in the tensor and in a piece.
struct Run {
    std::int64_t in_tensor, in_piece, count;
};
std::vector<Run> runs_of(storage::Shape const& shape, storage::Rectangle const& r) {
    if (shape.size() == 1) return {{r.start[0], 0, r.count[0]}};
    if (r.count[1] == shape[1]) return {{r.start[0] * shape[1], 0, r.elements()}};
    std::vector<Run> runs;
    for (std::int64_t row = 0; row < r.count[0]; ++row)
        runs.push_back({(r.start[0] + row) * shape[1] + r.start[1], row * r.count[1], r.count[1]});
    return runs;
}

std::string listed(std::string const& directory, std::string const& file) try {
    return cluster::listed_file(directory, file);
} catch (cluster::InputError const& error) {
    std::string const what = error.what();
    throw cluster::InputError(what.starts_with(directory) ? what
                                                          : directory + "/manifest.json: " + what);
}

} // namespace

Reader::Reader(Unopened, std::string directory)
    : directory_(std::move(directory)), manifest_(read_manifest(directory_)) {}

Reader::Reader(std::string directory) : Reader(Unopened(), std::move(directory)) {
    for (auto const& record : manifest_.files) {
        std::string const path = listed(directory_, record.file);
        if (std::int64_t const bytes = cluster::readable_size(path); bytes != record.bytes)
            throw cluster::InputError(
                fmt::format("{}: {} bytes, the manifest says {}", path, bytes, record.bytes));
        files_[record.file] = {record, open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        if (files_[record.file].descriptor < 0)
            throw cluster::InputError(path + ": " + std::strerror(errno));
    }
}

Reader::~Reader() {
    for (auto const& [name, file] : files_)
        if (file.descriptor >= 0) close(file.descriptor);
}

std::vector<char> const& Reader::verified_chunk(Open& file, std::string const& tensor,
                                                std::int64_t index) const {
    if (file.chunk_index == index) return file.chunk;
    std::int64_t const begin = index * kChunk, size = std::min(kChunk, file.record.bytes - begin);
    file.chunk_index = -1;
    file.chunk.resize(static_cast<std::size_t>(std::max<std::int64_t>(0, size)));
    bool const read =
        size > 0 && cluster::read_at(file.descriptor, file.chunk.data(), begin, size) == size;
    if (!read || cluster::xxh3_hex(file.chunk.data(), static_cast<std::size_t>(size)) !=
                     file.record.chunks.at(static_cast<std::size_t>(index)))
        throw cluster::InputError(
            fmt::format("{}/{}: bytes {} to {} do not match their hash, in tensor {}", directory_,
                        file.record.file, begin, begin + size, tensor));
    file.chunk_index = index;
    return file.chunk;
}

void Reader::read_bytes(Open& file, std::string const& tensor, std::int64_t offset,
                        std::int64_t bytes, char* out) const {
    for (std::int64_t index = offset / kChunk; index * kChunk < offset + bytes; ++index) {
        std::int64_t const begin = index * kChunk,
                           size = std::min(kChunk, file.record.bytes - begin);
        auto const& chunk = verified_chunk(file, tensor, index);
        std::int64_t const from = std::max(begin, offset),
                           to = std::min(begin + size, offset + bytes);
        std::memcpy(out + (from - offset), chunk.data() + (from - begin),
                    static_cast<std::size_t>(to - from));
    }
}

void Reader::read(Tensor const& tensor, std::int64_t first, std::int64_t count, void* out) const {
    std::int64_t const element = element_size(tensor);
    for (auto const& piece : tensor.pieces)
        for (auto const& run : runs_of(tensor.shape, piece.rectangle)) {
            std::int64_t const from = std::max(first, run.in_tensor),
                               to = std::min(first + count, run.in_tensor + run.count);
            if (from >= to) continue;
            read_bytes(files_.at(piece.file), tensor.kind + "/" + tensor.name,
                       piece.offset + (run.in_piece + from - run.in_tensor) * element,
                       (to - from) * element, static_cast<char*>(out) + (from - first) * element);
        }
}

namespace {

/// Rows and columns of a rectangle; of a vector one row.
struct Grid {
    std::int64_t row, rows, column, columns;
    explicit Grid(storage::Rectangle const& r)
        : row(r.start.size() == 2 ? r.start[0] : 0), rows(r.start.size() == 2 ? r.count[0] : 1),
          column(r.start.back()), columns(r.count.back()) {}
    /// Returns the place of an element in the rectangle, row-major.
    std::int64_t place(std::int64_t r, std::int64_t c) const {
        return (r - row) * columns + c - column;
    }
};

} // namespace

void Reader::read(Tensor const& tensor, storage::Rectangle const& wanted, void* out) const {
    std::int64_t const element = element_size(tensor);
    Grid const to(wanted);
    for (auto const& piece : tensor.pieces) {
        Grid const from(piece.rectangle);
        std::int64_t const left = std::max(from.column, to.column),
                           right = std::min(from.column + from.columns, to.column + to.columns);
        if (left >= right) continue;
        for (std::int64_t r = std::max(from.row, to.row);
             r < std::min(from.row + from.rows, to.row + to.rows); ++r)
            read_bytes(files_.at(piece.file), tensor.kind + "/" + tensor.name,
                       piece.offset + from.place(r, left) * element, (right - left) * element,
                       static_cast<char*>(out) + to.place(r, left) * element);
    }
}

std::string Reader::tensor_at(std::string const& file, std::int64_t chunk) const {
    for (auto const& t : manifest_.tensors)
        for (auto const& p : t.pieces) {
            std::int64_t const end = p.offset + p.rectangle.elements() * element_size(t);
            if (p.file == file && p.offset < (chunk + 1) * kChunk && end > chunk * kChunk)
                return ", in tensor " + t.kind + "/" + t.name;
        }
    return "";
}

void Reader::verify() const {
    for (auto const& name : cluster::list_folder(directory_)) {
        // manifest.json.partial: a job ended while it wrote the state anew.
        if (!files_.contains(name) && name != "manifest.json" && name != "manifest.json.partial")
            throw cluster::InputError(
                fmt::format("{}/{}: not listed in the manifest", directory_, name));
    }
    for (auto const& [name, file] : files_) verify_file(name, file);
}

void Reader::verify_file(std::string const& name, Open const& file) const {
    cluster::Xxh3 whole;
    std::vector<char> chunk(static_cast<std::size_t>(kChunk));
    for (std::int64_t index = 0; index * kChunk < file.record.bytes; ++index) {
        std::int64_t const size = std::min(kChunk, file.record.bytes - index * kChunk);
        bool const read =
            cluster::read_at(file.descriptor, chunk.data(), index * kChunk, size) == size;
        if (!read || cluster::xxh3_hex(chunk.data(), static_cast<std::size_t>(size)) !=
                         file.record.chunks.at(static_cast<std::size_t>(index)))
            throw cluster::InputError(fmt::format("{}/{}: bytes {} to {} do not match their hash{}",
                                                  directory_, name, index * kChunk,
                                                  index * kChunk + size, tensor_at(name, index)));
        whole.update(chunk.data(), static_cast<std::size_t>(size));
    }
    if (whole.hex() != file.record.xxh3)
        throw cluster::InputError(fmt::format("{}/{}: does not match its hash", directory_, name));
}

} // namespace trireme::framework::checkpoint
