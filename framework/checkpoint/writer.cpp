#include "framework/checkpoint/writer.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/hdf5.hpp"
#include "framework/checkpoint/pieces.hpp"

namespace trireme::framework::checkpoint {

namespace {

using data::H5;

/// the file beside those of the ranks
constexpr char const* kWhole = "whole.h5";

hid_t file_type(std::string const& dtype) {
    return dtype == "f64" ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
}

std::vector<hsize_t> extents(storage::Shape const& shape) {
    return {shape.begin(), shape.end()};
}

std::int64_t offset_of(hid_t set) {
    std::lock_guard const lock(data::hdf5_mutex());
    return static_cast<std::int64_t>(H5Dget_offset(set));
}

/// Returns the descriptor of the file that HDF5 itself has open.
int descriptor_of(hid_t h5, std::string const& path) {
    std::lock_guard const lock(data::hdf5_mutex());
    void* handle = nullptr;
    data::check_h5(H5Fget_vfd_handle(h5, H5P_DEFAULT, &handle), path, "file handle");
    return *static_cast<int*>(handle);
}

class RankFileWriter {
  public:
    RankFileWriter(std::string directory, std::string file, std::atomic<bool> const& abandoned)
        : file_(std::move(file)), path_(std::move(directory) + "/" + file_),
          h5_(data::create_h5(path_)), descriptor_(descriptor_of(h5_, path_)),
          abandoned_(abandoned) {
        data::write_format(h5_, path_, "trireme-checkpoint-part");
        data::write_attribute(h5_, path_, "whole", std::string(kWhole));
    }

    Tensor write(OwnedRange const& range) {
        Tensor tensor{range.kind, range.name, range.dtype, range.shape, {}};
        for (auto const& piece : range.pieces) {
            std::string const dataset =
                "/" + range.kind + "/" + range.name + "/" + std::to_string(tensor.pieces.size());
            tensor.pieces.push_back(write_rectangle(dataset, range.dtype, piece));
        }
        return tensor;
    }
    void close() {
        data::flush_h5(h5_, path_);
        h5_.close_now(path_);
    }

  private:
    Piece write_rectangle(std::string const& dataset, std::string const& dtype,
                          OwnedRange::Piece const& piece) {
        hid_t const type = file_type(dtype);
        std::int64_t const element = dtype == "f64" ? 8 : 4, n = piece.rectangle.elements(),
                           step = pieces.written / element;
        // The dataset is flat: a rectangle is made of it by the manifest and the virtual file.
        H5 set = data::create_contiguous(h5_, path_, dataset, type, {static_cast<hsize_t>(n)});
        std::int64_t const offset = offset_of(set);
        for (std::int64_t at = 0; at < n; at += step) {
            if (abandoned_) throw cluster::JobError(path_ + ": given up, since the job is ending");
            std::int64_t const count = std::min(step, n - at);
            data::write_range(set, path_, type, static_cast<hsize_t>(at),
                              static_cast<hsize_t>(count),
                              static_cast<char const*>(piece.values) + at * element);
            start_writing_back(offset + at * element, count * element);
        }
        set.close_now(path_); // HDF5 keeps small ones back until then
        return {file_, dataset, piece.rectangle, offset};
    }

    /// Lets the disk work from now on, so that the sync at the end finds little left to do. A hint:
    /// its failure is the sync's to report.
    void start_writing_back(std::int64_t from, std::int64_t bytes) const {
        static_cast<void>(sync_file_range(descriptor_, from, bytes, SYNC_FILE_RANGE_WRITE));
    }

    std::string file_, path_;
    H5 h5_;
    int descriptor_;
    std::atomic<bool> const& abandoned_;
};

File describe(std::string const& directory, std::string const& file) {
    File record{.file = file};
    std::string const path = directory + "/" + file;
    std::ifstream in(path, std::ios::binary);
    cluster::Xxh3 whole;
    std::vector<char> chunk(static_cast<std::size_t>(kChunk));
    while (in.read(chunk.data(), kChunk), in.gcount() > 0) {
        auto const n = static_cast<std::size_t>(in.gcount());
        whole.update(chunk.data(), n);
        record.chunks.push_back(cluster::xxh3_hex(chunk.data(), n));
        record.bytes += in.gcount();
    }
    if (!in.eof() || in.bad())
        throw cluster::JobError(path + ": what was written cannot be read back: the disk fails, or "
                                       "somebody else changes the file");
    record.xxh3 = whole.hex();
    cluster::sync_path(path);
    return record;
}

} // namespace

OwnedRange flat_range(std::string kind, std::string name, std::string dtype,
                      storage::Shape const& shape, FlatValues const& part) {
    OwnedRange range{std::move(kind), std::move(name), std::move(dtype), shape, {}};
    std::int64_t const element = range.dtype == "f64" ? 8 : 4;
    auto const* at = static_cast<char const*>(part.values);
    for (auto const& rectangle : storage::rectangles_of(shape, part.first, part.count)) {
        range.pieces.push_back({rectangle, at});
        at += rectangle.elements() * element;
    }
    return range;
}

RankFile write_rank_file(std::string const& directory, std::string const& file,
                         std::vector<OwnedRange> const& ranges,
                         std::atomic<bool> const& abandoned) {
    RankFile out;
    {
        RankFileWriter writer(directory, file, abandoned);
        for (auto const& range : ranges)
            if (!range.pieces.empty()) out.tensors.push_back(writer.write(range));
        writer.close();
    }
    out.file = describe(directory, file);
    return out;
}

/// Maps every element of a virtual dataset to the piece that holds it; the others are NaN.
static void map_pieces(H5 const& creation, H5 const& space, Tensor const& tensor,
                       std::string const& path) {
    double const fill = std::nan("");
    data::check_h5(H5Pset_fill_value(creation, H5T_NATIVE_DOUBLE, &fill), path, "fill value");
    for (auto const& p : tensor.pieces) {
        auto const start = extents(p.rectangle.start), count = extents(p.rectangle.count);
        hsize_t const n = static_cast<hsize_t>(p.rectangle.elements());
        H5 const source(H5Screate_simple(1, &n, nullptr), H5Sclose, path, "dataspace");
        data::check_h5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr,
                                           count.data(), nullptr),
                       path, "select");
        data::check_h5(H5Pset_virtual(creation, space, p.file.c_str(), p.dataset.c_str(), source),
                       path, "virtual mapping");
    }
    H5Sselect_all(space);
}

static void make_virtual_dataset(H5 const& h5, H5 const& link, Tensor const& tensor,
                                 std::string const& path) {
    auto const shape = extents(tensor.shape);
    H5 const space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                   H5Sclose, path, "dataspace");
    H5 const creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path, "property list");
    H5Pset_obj_track_times(creation, 0);
    map_pieces(creation, space, tensor, path);
    H5 const set(H5Dcreate2(h5, ("/" + tensor.kind + "/" + tensor.name).c_str(),
                            file_type(tensor.dtype), space, link, creation, H5P_DEFAULT),
                 H5Dclose, path, "virtual dataset");
}

File write_virtual_file(std::string const& directory, std::vector<Tensor> const& tensors) {
    std::string const file = kWhole, path = directory + "/" + file;
    {
        std::lock_guard const lock(data::hdf5_mutex());
        H5 h5 = data::create_h5(path);
        data::write_format(h5, path, "trireme-checkpoint");
        H5 const link(H5Pcreate(H5P_LINK_CREATE), H5Pclose, path, "property list");
        H5Pset_create_intermediate_group(link, 1);
        for (auto const& t : tensors) make_virtual_dataset(h5, link, t, path);
        data::flush_h5(h5, path);
        h5.close_now(path);
    }
    return describe(directory, file);
}

} // namespace trireme::framework::checkpoint
