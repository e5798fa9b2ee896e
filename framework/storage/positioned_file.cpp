#include "framework/storage/positioned_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/read_at.hpp"

namespace trireme::framework::storage {

PositionedFile PositionedFile::to_read(std::string const& path) {
    int const descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        throw cluster::InputError(path + ": cannot be read: " + std::strerror(errno));
    return {path, descriptor};
}

PositionedFile PositionedFile::to_write(std::string const& path) {
    int const descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0)
        throw cluster::JobError(path + ": cannot be written: " + cluster::reason_of(errno));
    return {path, descriptor};
}

PositionedFile::PositionedFile(PositionedFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

PositionedFile::~PositionedFile() {
    if (descriptor_ >= 0) close(descriptor_);
}

void PositionedFile::read(void* to, std::int64_t at, std::int64_t bytes) const {
    std::int64_t const got = cluster::read_at(descriptor_, to, at, bytes);
    if (got < 0) throw cluster::InputError(path_ + ": read error: " + std::strerror(errno));
    if (got < bytes)
        throw cluster::InputError(path_ +
                                  ": ends before its data; was it truncated while it was read?");
}

void PositionedFile::write(void const* from, std::int64_t at, std::int64_t bytes) const {
    auto const* in = static_cast<char const*>(from);
    while (bytes > 0) {
        ssize_t const n = pwrite(descriptor_, in, static_cast<std::size_t>(bytes), at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) throw cluster::JobError(path_ + ": write failed: " + cluster::reason_of(errno));
        in += n;
        at += n;
        bytes -= n;
    }
}

} // namespace trireme::framework::storage
