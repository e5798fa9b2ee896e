#include "framework/log/append_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::framework::log {

AppendFile::AppendFile(std::string path)
    : path_(std::move(path)),
      descriptor_(open(path_.c_str(),
                       O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666)) {
    struct stat found {};
    if (descriptor_ >= 0 && fstat(descriptor_, &found) == 0 && !S_ISREG(found.st_mode)) {
        close(descriptor_);
        throw cluster::InputError(
            path_ + ": cannot be written: it is a pipe, socket or device; legal: a regular file");
    }
    off_t const size = descriptor_ < 0 ? 0 : lseek(descriptor_, 0, SEEK_END);
    char last = '\n';
    if (size > 0 && pread(descriptor_, &last, 1, size - 1) != 1) last = '\n';
    if (descriptor_ >= 0 && (last == '\n' || cluster::write_all(descriptor_, "\n"))) return;
    std::string const reason = cluster::reason_of(errno);
    if (descriptor_ >= 0) close(descriptor_);
    throw cluster::InputError(path_ + ": cannot be written: " + reason +
                              "; legal: a run folder on a disk with room and write permission");
}

AppendFile::~AppendFile() {
    close(descriptor_);
}

void AppendFile::write_line(std::string_view line) {
    // one call: lines of a watch do not mix with it
    if (!cluster::write_all(descriptor_, std::string(line) + '\n'))
        throw cluster::JobError(path_ + ": write failed: " + cluster::reason_of(errno));
}

} // namespace trireme::framework::log
