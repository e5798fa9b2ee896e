#include "framework/checkpoint/writer.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "cluster/xxh3.hpp"
#include "data/hdf5.hpp"

namespace trireme::framework {

namespace {

using data::H5;

constexpr std::int64_t kPiece = std::int64_t{16} << 20; ///< bytes given to HDF5 at a time, under its mutex

hid_t file_type(at::ScalarType type) {
    return type == at::kDouble ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
}

std::vector<hsize_t> extents(Shape const& shape) {
    return {shape.begin(), shape.end()};
}

/// One rectangle's elements, which lie one after another from `values`.
CheckpointPiece write_rectangle(hid_t h5, std::string const& directory, std::string const& file,
                                std::string const& dataset, Rectangle const& rectangle, at::Tensor const& values) {
    std::string const path = directory + "/" + file;
    hid_t const type = file_type(values.scalar_type());
    auto const element = static_cast<std::int64_t>(values.element_size());
    std::int64_t const n = rectangle.elements(), step = kPiece / element;
    // The dataset is flat: a rectangle is made of it by the manifest and the virtual file.
    H5 const set = data::create_contiguous(h5, path, dataset, type, {static_cast<hsize_t>(n)});
    for (std::int64_t at = 0; at < n; at += step)
        data::write_range(set, path, type, static_cast<hsize_t>(at), static_cast<hsize_t>(std::min(step, n - at)),
                          static_cast<char const*>(values.const_data_ptr()) + at * element);
    return {file, dataset, rectangle, static_cast<std::int64_t>(H5Dget_offset(set))};
}

CheckpointFile describe(std::string const& directory, std::string const& file) {
    CheckpointFile record{.file = file};
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
    if (!in.eof() || in.bad()) throw cluster::JobError(path + ": reading back what was written failed");
    record.xxh3 = whole.hex();
    cluster::sync_path(path);
    return record;
}

} // namespace

OwnedRange flat_range(std::string kind, std::string name, Shape const& shape, std::int64_t first,
                      at::Tensor const& values) {
    OwnedRange range{std::move(kind), std::move(name), shape, {}};
    std::int64_t at = 0;
    for (auto const& rectangle : rectangles_of(shape, first, values.numel())) {
        range.pieces.push_back({rectangle, values.narrow(0, at, rectangle.elements())});
        at += rectangle.elements();
    }
    return range;
}

RankFile write_rank_file(std::string const& directory, std::string const& file, std::vector<OwnedRange> const& ranges) {
    RankFile out;
    std::string const path = directory + "/" + file;
    {
        H5 const h5 = data::create_h5(path);
        for (auto const& range : ranges) {
            if (range.pieces.empty()) continue;
            bool const f64 = range.pieces.front().values.scalar_type() == at::kDouble;
            CheckpointTensor tensor{range.kind, range.name, f64 ? "f64" : "f32", range.shape, {}};
            for (auto const& [rectangle, values] : range.pieces) {
                std::string const dataset =
                    "/" + range.kind + "/" + range.name + "/" + std::to_string(tensor.pieces.size());
                tensor.pieces.push_back(write_rectangle(h5, directory, file, dataset, rectangle, values));
            }
            out.tensors.push_back(std::move(tensor));
        }
        data::flush_h5(h5, path);
    }
    out.file = describe(directory, file);
    return out;
}

CheckpointFile write_virtual_file(std::string const& directory, std::vector<CheckpointTensor> const& tensors) {
    std::string const file = "whole.h5", path = directory + "/" + file;
    {
        std::lock_guard const lock(data::hdf5_mutex());
        H5 const h5 = data::create_h5(path);
        H5 const link(H5Pcreate(H5P_LINK_CREATE), H5Pclose, path, "property list");
        H5Pset_create_intermediate_group(link, 1);
        for (auto const& t : tensors) {
            hid_t const type = t.dtype == "f64" ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
            auto const shape = extents(t.shape);
            H5 const space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose, path,
                           "dataspace");
            H5 const creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path, "property list");
            H5Pset_obj_track_times(creation, 0);
            double const fill = std::nan("");
            data::check_h5(H5Pset_fill_value(creation, H5T_NATIVE_DOUBLE, &fill), path, "fill value");
            for (auto const& p : t.pieces) {
                auto const start = extents(p.rectangle.start), count = extents(p.rectangle.count);
                hsize_t const n = static_cast<hsize_t>(p.rectangle.elements());
                H5 const source(H5Screate_simple(1, &n, nullptr), H5Sclose, path, "dataspace");
                data::check_h5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
                               path, "select");
                data::check_h5(H5Pset_virtual(creation, space, p.file.c_str(), p.dataset.c_str(), source), path,
                               "virtual mapping");
            }
            H5Sselect_all(space);
            H5 const set(
                H5Dcreate2(h5, ("/" + t.kind + "/" + t.name).c_str(), type, space, link, creation, H5P_DEFAULT),
                H5Dclose, path, "virtual dataset");
        }
        data::flush_h5(h5, path);
    }
    return describe(directory, file);
}

} // namespace trireme::framework
