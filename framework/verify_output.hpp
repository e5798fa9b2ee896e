// The file that `trireme verify` writes: HDF5, there whole or not at all.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5.hpp"

namespace trireme::framework {

class NumericsFile {
  public:
    /// Opens a staging file beside `path`. Throws InputError if `path` exists or its folder cannot be written to.
    explicit NumericsFile(std::string path);
    /// Removes the staging file unless it was committed.
    ~NumericsFile();
    NumericsFile(NumericsFile const&) = delete;
    NumericsFile& operator=(NumericsFile const&) = delete;

    /// A dataset "a/b", to be filled by data::write_rows; `type` as in H5T_IEEE_F32LE. Throws JobError.
    data::H5 create(std::string const& name, hid_t type, std::vector<std::int64_t> const& shape) const;
    /// A dataset of all its values, which lie one after another.
    void write(std::string const& name, hid_t type, std::vector<std::int64_t> const& shape, void const* values) const;
    std::string const& staging() const { return staging_; }
    /// Closes, syncs, renames. Throws JobError.
    void commit();

  private:
    std::string path_, staging_;
    data::H5 file_;
    bool committed_ = false;
};

} // namespace trireme::framework
