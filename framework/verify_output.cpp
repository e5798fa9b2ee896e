#include "framework/verify_output.hpp"

#include <filesystem>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::framework {

namespace fs = std::filesystem;

NumericsFile::NumericsFile(std::string path) : path_(std::move(path)), staging_(path_ + ".partial") {
    if (cluster::is_there(path_)) throw cluster::InputError(path_ + ": exists already; legal: a file to be made");
    try {
        file_ = data::create_h5(staging_);
    } catch (cluster::JobError const&) {
        throw cluster::InputError(path_ +
                                  ": cannot be written; legal: a file in a folder that exists, with permission");
    }
}

NumericsFile::~NumericsFile() {
    if (committed_) return;
    file_ = {};
    std::error_code ignored;
    fs::remove(staging_, ignored);
}

data::H5 NumericsFile::create(std::string const& name, hid_t type, std::vector<std::int64_t> const& shape) const {
    return data::create_contiguous(file_, staging_, name, type, {shape.begin(), shape.end()});
}

void NumericsFile::write(std::string const& name, hid_t type, std::vector<std::int64_t> const& shape,
                         void const* values) const {
    data::write_rows(create(name, type, shape), staging_, 0, shape.empty() ? 1 : shape[0], values);
}

void NumericsFile::commit() {
    data::check_h5(H5Fflush(file_, H5F_SCOPE_GLOBAL), staging_, "flush"); // closing would not say that the disk is full
    file_ = {};
    cluster::commit_file(staging_, path_);
    committed_ = true;
}

} // namespace trireme::framework
