#include "data/hdf5.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "cluster/error.hpp"
#include "data/pieces.hpp"

namespace trireme::data {

std::recursive_mutex& hdf5_mutex() {
    static std::recursive_mutex mutex;
    return mutex;
}

namespace {

/// Returns what the system said to the call that just failed, as HDF5 kept it: ": No space left on
/// device".
std::string reason() {
    std::string text;
    H5Ewalk2(
        H5E_DEFAULT, H5E_WALK_UPWARD,
        [](unsigned, H5E_error2_t const* error, void* out) -> herr_t {
            constexpr std::string_view kBegin = "errno = ";
            std::string_view const said = error->desc ? error->desc : "";
            auto const at = said.rfind(kBegin);
            int number = 0;
            if (at != std::string_view::npos)
                std::from_chars(said.data() + at + kBegin.size(), said.data() + said.size(),
                                number);
            if (number == 0) return 0;
            *static_cast<std::string*>(out) = ": " + cluster::reason_of(number);
            return 1;
        },
        &text);
    return text;
}

} // namespace

H5::H5(hid_t id, Close close, std::string const& path, char const* what) : id_(id), close_(close) {
    if (id < 0) throw cluster::JobError(path + ": HDF5: " + what + " failed" + reason());
}
H5::H5(H5&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
H5& H5::operator=(H5&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
}
H5::~H5() {
    if (id_ < 0) return;
    std::lock_guard const lock(hdf5_mutex());
    close_(id_);
}

void H5::close_now(std::string const& path) {
    std::lock_guard const lock(hdf5_mutex());
    check_h5(close_(std::exchange(id_, -1)), path, "close");
}

void check_h5(herr_t status, std::string const& path, char const* what) {
    if (status < 0) throw cluster::JobError(path + ": HDF5: " + what + " failed" + reason());
}

namespace {

/// HDF5 prints its error stack by itself unless told not to; we throw instead. At exit it would go
/// through what a full disk left open once more, and crash there.
void silence() {
    static herr_t const once = H5dont_atexit(); // before any other call, or it comes too late
    static_cast<void>(once);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

} // namespace

namespace {

/// Turns off locks, which some file systems do not have (NFS, Lustre without -o flock) and we do
/// not need: nobody else knows the staging names that we write. HDF5_USE_FILE_LOCKING still wins.
H5 without_locks(std::string const& path) {
    H5 access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path, "property list");
    check_h5(H5Pset_file_locking(access, false, true), path, "file locking");
    return access;
}

} // namespace

H5 create_h5(std::string const& path) {
    std::lock_guard const lock(hdf5_mutex());
    silence();
    H5 const creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, path, "property list");
    H5Pset_obj_track_times(creation, 0);
    return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, without_locks(path)), H5Fclose, path,
            "create"};
}

H5 open_h5(std::string const& path) {
    std::lock_guard const lock(hdf5_mutex());
    silence();
    hid_t const id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, without_locks(path));
    if (id < 0) throw cluster::InputError(path + ": not a readable HDF5 file" + reason());
    return {id, H5Fclose, path, "open"};
}

H5 create_contiguous(hid_t file, std::string const& path, std::string const& name, hid_t type,
                     std::vector<hsize_t> const& shape) {
    std::lock_guard const lock(hdf5_mutex());
    H5 const space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
                   H5Sclose, path, "dataspace");
    H5 const creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path, "property list");
    H5 const link(H5Pcreate(H5P_LINK_CREATE), H5Pclose, path, "property list");
    H5Pset_create_intermediate_group(link, 1);
    H5Pset_layout(creation, H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation, 0);
    return {H5Dcreate2(file, name.c_str(), type, space, link, creation, H5P_DEFAULT), H5Dclose,
            path, "create dataset"};
}

void write_range(hid_t dataset, std::string const& path, hid_t memory_type, hsize_t first,
                 hsize_t count, void const* from) {
    std::lock_guard const lock(hdf5_mutex());
    H5 const space(H5Dget_space(dataset), H5Sclose, path, "dataspace");
    check_h5(H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, nullptr, &count, nullptr), path,
             "select");
    H5 const memory(H5Screate_simple(1, &count, nullptr), H5Sclose, path, "dataspace");
    check_h5(H5Dwrite(dataset, memory_type, memory, space, H5P_DEFAULT, from), path, "write");
}

void write_rows(hid_t dataset, std::string const& path, std::int64_t first, std::int64_t rows,
                void const* from) {
    std::lock_guard const lock(hdf5_mutex());
    H5 const space(H5Dget_space(dataset), H5Sclose, path, "dataspace");
    H5 const type(H5Dget_type(dataset), H5Tclose, path, "type");
    int const dimensions = H5Sget_simple_extent_ndims(space);
    if (dimensions == 0)
        return check_h5(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, from), path,
                        "write");
    std::vector<hsize_t> start(static_cast<std::size_t>(dimensions)), count(start.size());
    H5Sget_simple_extent_dims(space, count.data(), nullptr);
    hsize_t row = H5Tget_size(type); // bytes
    for (std::size_t d = 1; d < count.size(); ++d) row *= count[d];
    std::int64_t const piece = std::max<std::int64_t>(
        1, pieces.written / static_cast<std::int64_t>(std::max<hsize_t>(1, row)));
    for (std::int64_t at = 0; at < rows; at += piece) {
        start[0] = static_cast<hsize_t>(first + at);
        count[0] = static_cast<hsize_t>(std::min(piece, rows - at));
        check_h5(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(),
                                     nullptr),
                 path, "select");
        H5 const memory(H5Screate_simple(dimensions, count.data(), nullptr), H5Sclose, path,
                        "dataspace");
        check_h5(H5Dwrite(dataset, type, memory, space, H5P_DEFAULT,
                          static_cast<char const*>(from) + static_cast<hsize_t>(at) * row),
                 path, "write");
    }
}

void flush_h5(hid_t file, std::string const& path) {
    std::lock_guard const lock(hdf5_mutex());
    check_h5(H5Fflush(file, H5F_SCOPE_LOCAL), path, "flush");
}

namespace {

void write_texts(hid_t object, std::string const& path, char const* name, hid_t shape,
                 std::vector<char const*> const& texts) {
    H5 const space(shape, H5Sclose, path, "dataspace");
    H5 const type(H5Tcopy(H5T_C_S1), H5Tclose, path, "string type");
    check_h5(H5Tset_size(type, H5T_VARIABLE), path, "string size");
    check_h5(H5Tset_cset(type, H5T_CSET_UTF8), path, "string set");
    H5 const attribute(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                       path, "create attribute");
    check_h5(H5Awrite(attribute, type, texts.data()), path, "write attribute");
}

} // namespace

void write_attribute(hid_t object, std::string const& path, char const* name,
                     std::string const& text) {
    std::lock_guard const lock(hdf5_mutex());
    write_texts(object, path, name, H5Screate(H5S_SCALAR), {text.c_str()});
}

void write_attribute(hid_t object, std::string const& path, char const* name,
                     std::vector<std::string> const& texts) {
    std::lock_guard const lock(hdf5_mutex());
    std::vector<char const*> all;
    for (auto const& text : texts) all.push_back(text.c_str());
    hsize_t const count = all.size();
    write_texts(object, path, name, H5Screate_simple(1, &count, nullptr), all);
}

bool fits_attribute(std::vector<std::string> const& texts) {
    constexpr std::size_t kMost = 32 << 10,
                          kReference = 16; // HDF5 refers to each text by so many bytes
    std::size_t bytes = 0;
    for (auto const& text : texts) bytes += text.size() + kReference;
    return bytes <= kMost;
}

void write_format(hid_t file, std::string const& path, char const* format) {
    write_attribute(file, path, "format", std::string(format));
    write_attribute(file, path, "version", "1");
}

bool has_object(hid_t file, std::string const& name) {
    std::lock_guard const lock(hdf5_mutex());
    for (std::size_t slash = name.find('/', 1); slash != std::string::npos;
         slash = name.find('/', slash + 1))
        if (H5Lexists(file, name.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
    return H5Lexists(file, name.c_str(), H5P_DEFAULT) > 0;
}

Extent extent_of(hid_t file, std::string const& path, std::string const& name, hid_t type) {
    std::lock_guard const lock(hdf5_mutex());
    if (!has_object(file, name))
        throw cluster::InputError(path + ": " + name + ": no such dataset");
    H5 const dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, path, "open dataset");
    H5 const space(H5Dget_space(dataset), H5Sclose, path, "dataspace");
    H5 const stored(H5Dget_type(dataset), H5Tclose, path, "type");
    if (H5Tequal(stored, type) <= 0)
        throw cluster::InputError(path + ": " + name + ": unexpected element type");
    Extent const extent{static_cast<std::int64_t>(H5Dget_offset(dataset)),
                        H5Sget_simple_extent_npoints(space)};
    if (extent.offset < 0 && extent.count > 0)
        throw cluster::InputError(path + ": " + name + ": not stored contiguously");
    return extent;
}

} // namespace trireme::data
