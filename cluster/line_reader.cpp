#include "cluster/line_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/file.hpp"

namespace trireme::cluster {

LineReader::LineReader(std::string path, std::int64_t most)
    : path_(std::move(path)), buffer_(std::size_t{1} << 16) {
    if (std::int64_t const size = readable_size(path_); size > most)
        throw InputError(path_ + ": " + std::to_string(size) + " bytes: legal: at most " +
                         std::to_string(most));
    refuse_lfs_pointer(path_);
    file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file_ < 0) throw InputError(path_ + ": cannot be read: " + std::strerror(errno));
}

LineReader::~LineReader() {
    close(file_);
}

bool LineReader::fill() {
    ssize_t size = 0;
    do size = read(file_, buffer_.data(), buffer_.size());
    while (size < 0 && errno == EINTR);
    if (size < 0) throw InputError(path_ + ": read error: " + std::strerror(errno));
    at_ = 0, end_ = static_cast<std::size_t>(size);
    return size > 0;
}

bool LineReader::next(std::string& line) {
    line.clear();
    if (at_ == end_ && !fill()) return false;
    ++number_;
    do {
        char const* const start = buffer_.data() + at_;
        void const* const found = std::memchr(start, '\n', end_ - at_);
        std::size_t const length =
            found ? static_cast<std::size_t>(static_cast<char const*>(found) - start) : end_ - at_;
        if (line.size() + length > kLongest)
            throw InputError(path_ + ":" + std::to_string(number_) + ": a line of more than " +
                             std::to_string(kLongest) + " bytes; legal: a shorter one");
        line.append(start, length);
        at_ += length + (found ? 1 : 0);
        if (found) return true;
    } while (fill());
    return true;
}

} // namespace trireme::cluster
