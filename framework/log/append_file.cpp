#include "framework/log/append_file.hpp"

#include "cluster/error.hpp"

namespace trireme::framework {

namespace {

bool ends_in_the_middle_of_a_line(std::string const& path) {
    std::ifstream file(path, std::ios::binary);
    file.seekg(-1, std::ios::end);
    char last = '\n';
    file.get(last);
    return last != '\n';
}

} // namespace

AppendFile::AppendFile(std::string path) : path_(std::move(path)) {
    bool const torn = ends_in_the_middle_of_a_line(path_);
    file_.open(path_, std::ios::app);
    if (torn) file_ << '\n';
    if (!file_)
        throw cluster::InputError(path_ +
                                  ": cannot be written; legal: a run folder on a disk with room and write permission");
}

void AppendFile::write_line(std::string_view line) {
    file_ << line << '\n' << std::flush;
    if (!file_) throw cluster::JobError(path_ + ": write failed; is the disk full?");
}

} // namespace trireme::framework
