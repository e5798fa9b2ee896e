#include "framework/verify/output_file.hpp"

namespace trireme::framework::verify {

NumericsFile::NumericsFile(std::string const& path, bool force)
    : output_("--out", path, force ? cluster::Existing::replaced : cluster::Existing::refused),
      staging_(output_.stage()), file_(data::create_h5(staging_)) {}

void NumericsFile::describe(std::string const& task, std::vector<std::string> const& labels) const {
    data::write_format(file_, staging_, "trireme-numerics");
    data::write_attribute(file_, staging_, "task", task);
    if (!labels.empty() && data::fits_attribute(labels))
        data::write_attribute(file_, staging_, "labels", labels);
}

data::H5 NumericsFile::create(std::string const& name, hid_t type,
                              std::vector<std::int64_t> const& shape) const {
    return data::create_contiguous(file_, staging_, name, type, {shape.begin(), shape.end()});
}

void NumericsFile::write(std::string const& name, hid_t type,
                         std::vector<std::int64_t> const& shape, void const* values) const {
    data::write_rows(create(name, type, shape), staging_, 0, shape.empty() ? 1 : shape[0], values);
}

void NumericsFile::commit() {
    // closing would not say that the disk is full
    data::check_h5(H5Fflush(file_, H5F_SCOPE_GLOBAL), staging_, "flush");
    file_ = {};
    output_.commit();
}

} // namespace trireme::framework::verify
