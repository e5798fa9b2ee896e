#include "cluster/read_at.hpp"

#include <unistd.h>

#include <cerrno>

namespace trireme::cluster {

std::int64_t read_at(int descriptor, void* to, std::int64_t at, std::int64_t bytes) {
    std::int64_t done = 0;
    while (done < bytes) {
        ssize_t const n = pread(descriptor, static_cast<char*>(to) + done,
                                static_cast<std::size_t>(bytes - done), at + done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        done += n;
    }
    return done;
}

} // namespace trireme::cluster
