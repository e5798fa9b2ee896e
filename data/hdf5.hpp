// The part of HDF5 that we use, behind one mutex: Debian's parallel build is not thread-safe.
// No command reads a file through it: damaged ones crash the library. Shards and checkpoints are
// contiguous, and read with pread at offsets of their manifests, after their hashes.
#pragma once
#include <hdf5.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace trireme::data {

/// Held around every sequence of HDF5 calls of this process. Recursive: helpers take it themselves.
std::recursive_mutex& hdf5_mutex();

/// Owns an HDF5 identifier.
class H5 {
  public:
    using Close = herr_t (*)(hid_t);
    H5() = default;
    /// Throws JobError "PATH: WHAT failed" if `id` is negative.
    H5(hid_t id, Close close, std::string const& path, char const* what);
    H5(H5&& other) noexcept;
    H5& operator=(H5&& other) noexcept;
    ~H5();
    operator hid_t() const { return id_; }
    /// Closes and reports a failure, which the destructor would ignore. Throws JobError.
    void close_now(std::string const& path);

  private:
    hid_t id_ = -1;
    Close close_ = nullptr;
};

void check_h5(herr_t status, std::string const& path, char const* what);

/// A new file whose bytes depend on its content alone (no times). Throws JobError.
H5 create_h5(std::string const& path);
/// Opens a file that this program wrote, to read. Throws InputError when PATH is not a readable
/// HDF5 file.
H5 open_h5(std::string const& path);
/// A contiguous dataset "a/b/c", parents made as needed, storage allocated at once.
H5 create_contiguous(hid_t file, std::string const& path, std::string const& name, hid_t type,
                     std::vector<hsize_t> const& shape);
/// Writes elements [first, first + count) of the flattened dataset (one dimension).
void write_range(hid_t dataset, std::string const& path, hid_t memory_type, hsize_t first,
                 hsize_t count, void const* from);

/// Writes rows [first, first + rows) of a dataset of any dimensions, its own element type in
/// memory, in pieces of 16 MiB. A dataset of no dimensions is one row.
void write_rows(hid_t dataset, std::string const& path, std::int64_t first, std::int64_t rows,
                void const* from);
/// Gives all that was written to the system. Throws JobError.
void flush_h5(hid_t file, std::string const& path);

/// A text, or a list of texts, in UTF-8, as h5py reads them: str, array of str.
void write_attribute(hid_t object, std::string const& path, char const* name,
                     std::string const& text);
void write_attribute(hid_t object, std::string const& path, char const* name,
                     std::vector<std::string> const& texts);

/// Whether a list of texts can be an attribute, of which HDF5 keeps 64 KiB.
bool fits_attribute(std::vector<std::string> const& texts);
/// Attributes of the root that say what a file is: "format", and "version" 1 of it.
void write_format(hid_t file, std::string const& path, char const* format);

/// Locates the bytes of a contiguous dataset in its file.
struct Extent {
    std::int64_t offset = 0; ///< bytes from the start of the file
    std::int64_t count = 0;  ///< elements
};
/// Throws InputError unless `name` exists, is contiguous and of `type`.
Extent extent_of(hid_t file, std::string const& path, std::string const& name, hid_t type);
bool has_object(hid_t file, std::string const& name);

} // namespace trireme::data
