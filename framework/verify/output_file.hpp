// The file that `trireme verify` writes: HDF5, there whole or not at all.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/output_file.hpp"
#include "data/hdf5.hpp"

namespace trireme::framework::verify {

class NumericsFile {
  public:
    /// Opens a staging file beside `path`. Throws InputError as OutputFile does.
    NumericsFile(std::string const& path, bool force);

    /// Attributes of the root for people who open the file: the task whose head was computed, and
    /// the class names in the order of the columns of logits (none for a language model). Throws
    /// JobError.
    void describe(std::string const& task, std::vector<std::string> const& labels) const;
    /// A dataset "a/b", to be filled by data::write_rows; `type` as in H5T_IEEE_F32LE. Throws
    /// JobError.
    data::H5 create(std::string const& name, hid_t type,
                    std::vector<std::int64_t> const& shape) const;
    /// A dataset of all its values, which lie one after another.
    void write(std::string const& name, hid_t type, std::vector<std::int64_t> const& shape,
               void const* values) const;
    std::string const& staging() const { return staging_; } ///< its path while it is written
    /// Closes, syncs, renames. Throws JobError.
    void commit();

  private:
    cluster::OutputFile output_;
    std::string staging_;
    data::H5 file_;
};

} // namespace trireme::framework::verify
